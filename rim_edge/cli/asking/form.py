"""The forms in which answers are printed."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """How an answer is printed."""

    PEOPLE = "people"
    JSON = "json"
    RAW = "raw"
