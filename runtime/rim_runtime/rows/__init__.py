"""Rows of questions in the forms that public sets have, and the files they stand in; docs/rows.md has them all."""
