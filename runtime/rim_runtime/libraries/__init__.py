"""The only places that import the engines' libraries."""
