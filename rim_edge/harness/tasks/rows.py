"""The rows of a file as the harness's documents: what `rim-edge eval` asks, and the letters it offers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from datasets import Dataset  # the harness brings it
from rim_runtime.errors import InputError

from rim_edge.data.files import read_file
from rim_edge.errors import DataError
from rim_edge.evaluation.items import items_of
from rim_edge.recipe.inputs import DataFile


def read(rows: str | None = None, **others: Any) -> dict[str, Any]:
    """Return the rows of a file that have a letter as their answer. Raises InputError and DataError.

    `rows` is its path, of `--metadata`; the harness adds `others`.
    """
    del others
    if rows is None:
        raise InputError('The task rim_rows has no file, expected one: --metadata \'{"rows": "dev.jsonl"}\'')
    items = items_of(read_file(DataFile(Path(rows))).examples)
    found = [
        {"question": item.question, "letters": list(item.letters), "answer": item.letters.index(item.answer)}
        for item in items
        if item.answer in list(item.letters)
    ]
    if not found:
        raise DataError(f"{rows} has no rows that are answered with a letter, expected some.")
    if left := len(items) - len(found):
        logging.getLogger(__name__).warning(
            "%s: %d rows left out, which are not answered with a letter", rows, left
        )
    return {"test": Dataset.from_list(found)}
