"""Which bundle a name, a folder or nothing means, in Python as on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rim_runtime import BundleNotFoundError, Engine, InputError
from rim_runtime.bundle import names
from rim_runtime.bundle.names import find_bundle, list_bundles, use_bundle

from tests.places import DEMO_FOLDER, REPOSITORY

MakeBundle = Callable[..., Path]


@pytest.fixture
def mine(make_bundle: MakeBundle, own_home: Path) -> Path:
    """A bundle in the user's folder."""
    return make_bundle("mine", own_home / "bundles")


def loaded(*given: str | Path) -> str:
    with Engine.load(*given) as engine:
        return engine.bundle


def test_nothing_named_is_what_ask_uses(mine: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded() == "demo"
    use_bundle("mine")
    assert loaded() == "mine"
    monkeypatch.setenv("RIM_EDGE_BUNDLE", str(tiny_bundle))
    assert loaded() == "tiny"
    monkeypatch.setenv("RIM_EDGE_BUNDLE", "demo")
    assert loaded() == "demo"


def test_names_are_those_of_bundle_list(mine: Path) -> None:
    assert [loaded(entry.name) for entry in list_bundles()] == ["demo", "mine"]


def test_a_path_is_a_path(mine: Path, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    here = mine.parents[2] / "here"
    make_bundle("demo", here)
    monkeypatch.chdir(here)
    for given in ("./demo", "demo/", Path("demo"), here / "demo"):
        assert loaded(given) == "demo"
        assert names.resolve_bundle(given).path != DEMO_FOLDER
    with pytest.raises(BundleNotFoundError, match="There is no bundle at mine, expected a folder"):
        Engine.load(Path("mine"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nothing", "There is no bundle 'nothing', neither a folder nor one of: demo, mine."),
        ("", "name is empty"),
        ("  ", "name is empty"),
        ("file.txt", "'file.txt' is a file, expected a bundle's folder, a .zip file or one of: demo, mine."),
        ("./file.txt", "file.txt is a file, expected a folder or a .zip file."),
        ("x" * 5_000, "File name too long"),
        ("a\0b", "There is no bundle 'a"),
    ],
)
def test_what_is_no_bundle(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, told: str
) -> None:
    (tmp_path / "file.txt").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleNotFoundError) as refused:
        Engine.load(given)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("named", ["variable", "chosen"])
def test_a_default_that_is_gone_is_listed_as_missing(
    mine: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    if named == "chosen":
        use_bundle("mine")
    else:
        monkeypatch.setenv("RIM_EDGE_BUNDLE", "mine")
    mine.rename(mine.parent / "renamed")
    listed = {entry.name: (entry.path, entry.default, entry.missing) for entry in list_bundles()}
    assert listed == {
        "demo": (DEMO_FOLDER, False, False),
        "renamed": (mine.parent / "renamed", False, False),
        "mine": (mine, True, True),
    }
    with pytest.raises(BundleNotFoundError, match=r"demo, renamed\..* 'mine'\)$"):
        Engine.load()


def test_a_home_that_is_a_file(own_home: Path) -> None:
    own_home.touch()
    with pytest.raises(InputError, match=r"rim-home is a file, expected a folder\. Set RIM_EDGE_HOME to one"):
        Engine.load()


@pytest.mark.parametrize("shipped", ["with rim_edge", "alone"])
def test_the_demo_is_found_without_importing_rim_edge(tmp_path: Path, shipped: str) -> None:
    """A program may ship the runtime alone: then there is no demo, and everything else works."""
    (tmp_path / "rim_runtime").symlink_to(REPOSITORY / "runtime" / "rim_runtime")
    if shipped == "with rim_edge":
        (tmp_path / "rim_edge").symlink_to(REPOSITORY / "rim_edge")
    code = """
import json, sys
from rim_runtime import BundleNotFoundError, Engine
from rim_runtime.bundle.names import find_bundle, list_bundles
try:
    demo = str(find_bundle("demo"))
except BundleNotFoundError as error:
    demo = str(error)
print(json.dumps([demo, [entry.name for entry in list_bundles()], "rim_edge" in sys.modules]))
"""
    others = [path for path in sys.path if path.endswith("site-packages")]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],  # without .pth files, which lead to the checkout
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *others])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    demo, listed, imported = json.loads(done.stdout)
    assert not imported
    if shipped == "alone":
        assert listed == []
        assert demo.startswith("This installation has no demo bundle")
    else:
        assert listed == ["demo"]
        assert demo == str(tmp_path / "rim_edge" / "demo" / "bundle")


def test_find_bundle_keeps_its_rule(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()  # a folder without a bundle does not hide a name
    assert find_bundle("mine") == mine
