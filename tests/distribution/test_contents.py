"""What is in the wheel and in the source distribution, and what they say of themselves."""

from __future__ import annotations

import re
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from trove_classifiers import classifiers

from tests.distribution.conftest import Built, build
from tests.places import REPOSITORY

PACKAGES = ("rim_edge", "rim_export", "rim_runtime")


@pytest.fixture(scope="module")
def files(built: Built) -> dict[str, bytes]:
    return contents(built.wheel)


@pytest.fixture(scope="module")
def metadata(files: dict[str, bytes]) -> Message:
    (name,) = [name for name in files if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(files[name].decode())


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist() if not name.endswith("/RECORD")}


def test_the_wheel_has_the_packages_and_nothing_else(files: dict[str, bytes]) -> None:
    tops = {name.partition("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert [name for name in files if "__pycache__" in name or name.endswith(".pyc")] == []
    assert [package for package in PACKAGES if f"{package}/py.typed" not in files] == []
    assert {"rim_edge/demo/bundle/manifest.json", "rim_edge/serving/page/page.html"} <= set(files)


def test_every_file_of_the_packages_is_in_it(files: dict[str, bytes]) -> None:
    """A file that .gitignore names, or that a build rule misses, would be missing only for users."""
    for package, folder in {"rim_edge": ".", "rim_export": "export", "rim_runtime": "runtime"}.items():
        top = REPOSITORY / folder
        there = {p.relative_to(top).as_posix() for p in (top / package).rglob("*") if p.is_file()}
        there = {name for name in there if "__pycache__" not in name}
        assert there - set(files) == set()


def test_the_licences_go_with_it(files: dict[str, bytes], metadata: Message) -> None:
    """Ours, and that of the questions that ship, whose text has to stand in every copy."""
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
    texts = {name.partition("/licenses/")[2]: text for name, text in files.items() if "/licenses/" in name}
    assert set(texts) == set(metadata.get_all("License-File"))
    assert b"Apache License" in texts["LICENSE"]
    assert b"Copyright (c) 2020 Dan Hendrycks" in texts["export/rim_export/data/SOURCE.md"]
    assert {"rim_edge/demo/bundle/LICENSE", "rim_edge/demo/checkpoint/LICENSE"} <= set(files)


def test_what_it_says_of_itself(metadata: Message) -> None:
    assert metadata["Name"] == "rim-edge"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    description = metadata.get_payload()
    assert isinstance(description, str)
    assert description.strip() == (REPOSITORY / "README.md").read_text(encoding="utf-8").strip()
    assert len(metadata["Summary"]) < 120
    said = metadata.get_all("Classifier", [])
    assert set(said) <= classifiers
    assert "Typing :: Typed" in said
    assert not [line for line in said if line.startswith("License ::")], "License-Expression says it"
    for url in metadata.get_all("Project-URL", []):
        assert re.fullmatch(r"[\w ]+, https://\S+", url)


def test_the_source_builds_the_same_wheel(built: Built, files: dict[str, bytes], tmp_path: Path) -> None:
    with tarfile.open(built.source) as archive:
        archive.extractall(tmp_path, filter="data")
    (project,) = tmp_path.iterdir()
    assert {"tests", "docs", "examples", "mkdocs.yml", "Makefile"} <= {path.name for path in project.iterdir()}
    assert not {".venv", "build", "dist"} & {path.name for path in project.iterdir()}
    build(project, tmp_path / "again", "-t", "wheel")
    (wheel,) = (tmp_path / "again").glob("*.whl")
    assert contents(wheel) == files
