"""The fenced blocks of README and of every page of the site."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.places import REPOSITORY

PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
"""Those whose commands run from an installed wheel (tests/cli/test_wheel.py)."""
OTHERS = sorted([*(REPOSITORY / "examples").rglob("*.md"), *(REPOSITORY / "bench").glob("*.md")])
"""Those whose commands need a checkout, or a model."""


@dataclass(frozen=True)
class Block:
    """One block."""

    page: str
    """The page's path in the repository."""
    line: int
    """The line of its fence."""
    language: str
    text: str

    def __str__(self) -> str:
        """Return where it is, as pytest shows it."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """What a user types, continued lines joined."""
        return re.findall(r"^\$ (.*)$", self.text.replace("\\\n", " "), re.MULTILINE)


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of these languages, or all, page by page."""
    found = []
    for page in [*PAGES, *OTHERS]:
        text = page.read_text(encoding="utf-8")
        name = page.relative_to(REPOSITORY).as_posix()
        for match in re.finditer(r"^( *)```(.*)\n((?:.*\n)*?)\1```$", text, re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(name, line, match[2].strip(), match[3]))
    return [block for block in found if not languages or block.language in languages]
