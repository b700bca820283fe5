"""The tree in docs/architecture.md is the tree that is here, and its walks lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.places import REPOSITORY

PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGES = ("rim_edge", "export/rim_export", "runtime/rim_runtime")
CODE = ("rim_edge", "export", "runtime", "tests", "bench", "experiments", "examples")


def shown() -> set[str]:
    """Return the folders and top files of the page's tree, by their indentation."""
    tree = PAGE.split("```text\n")[1].split("```")[0]
    found, above = set(), {}
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        names = line.split("   ")[0] if depth == 0 else line[4 * depth :].split("   ")[0]
        for name in names.split():
            path = "/".join([*(above[level] for level in range(depth)), name.rstrip("/")])
            found.add(path)
            above[depth] = name.rstrip("/")
    return found


def present() -> set[str]:
    """Return the folders below the packages, and the modules right in them."""
    found = set(PACKAGES)
    for package in PACKAGES:
        top = REPOSITORY / package
        folders = {path.parent for path in top.rglob("*.py")} | {top / "demo", top / "data"}
        found |= {path.relative_to(REPOSITORY).as_posix() for path in folders if path.is_dir()}
        modules = {path for path in top.glob("*.py") if not path.name.startswith("__")}
        found |= {path.relative_to(REPOSITORY).as_posix() for path in modules}
    return found


def test_the_tree_is_the_one_that_is_here() -> None:
    assert shown() == present()


def test_the_walks_lead_to_code() -> None:
    walks = PAGE.split("## Four walks")[1].split("## An export")[0]
    steps = re.findall(r"`([\w/]+\.py)`:\s+((?:`[\w.]+`(?:, )?)+)", walks)
    assert len(steps) >= 10
    for file, names in steps:
        text = (REPOSITORY / file).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            last = name.rpartition(".")[2]
            assert re.search(rf"^\s*(?:def|class) {last}\b|^{last}\b", text, re.MULTILINE), f"{file}: {name}"


@pytest.mark.parametrize("top", CODE)
def test_folders_have_at_most_twenty_files_and_files_four_hundred_lines(top: str) -> None:
    files = [path for path in (REPOSITORY / top).rglob("*.py") if "__pycache__" not in path.parts]
    folders: dict[Path, int] = {}
    for path in files:
        folders[path.parent] = folders.get(path.parent, 0) + 1
    assert {folder: count for folder, count in folders.items() if count > 20} == {}
    assert [path for path in files if path.read_text(encoding="utf-8").count("\n") > 400] == []
