"""Users without a home folder get answers; what has to be kept says which variable to set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import StorageError
from rim_runtime.bundle.names import Origin, find_bundle, is_own, list_bundles, resolve_bundle, use_bundle

from tests.places import DEMO_FOLDER


@pytest.mark.usefixtures("no_home")
def test_without_a_home_the_demo_is_the_bundle(tiny_bundle: Path) -> None:
    assert resolve_bundle().origin is Origin.DEMO
    assert [listed.path for listed in list_bundles()] == [DEMO_FOLDER]
    assert find_bundle(str(tiny_bundle)) == tiny_bundle
    assert not is_own(tiny_bundle)
    with pytest.raises(FileNotFoundError, match="There is no bundle 'nothing', neither a folder nor one of: demo"):
        find_bundle("nothing")
    with pytest.raises(FileNotFoundError, match=r"There is no bundle '~nobody/x' \(could not determine"):
        find_bundle("~nobody/x")
    with pytest.raises(StorageError, match="Set RIM_EDGE_HOME"):
        use_bundle(str(tiny_bundle))


@pytest.mark.usefixtures("no_home", "demo_bundle")
def test_the_command_line_without_a_home(run: Callable[..., Any], tiny_bundle: Path) -> None:
    asked = run("ask", "Why?", "-r", "--bundle", str(tiny_bundle))
    assert (asked.code, len(asked.out)) == (0, 2)
    assert "note: There is no home folder" in asked.err
    shown = run("doctor", "--json").json
    assert shown["home"]["path"] is None
    assert "Set RIM_EDGE_HOME" in shown["home"]["trouble"]
    assert "Set RIM_EDGE_HOME" in run("doctor").out
    failed = run("bundle", "use", str(tiny_bundle))
    assert (failed.code, failed.out) == (1, "")
    assert "Set RIM_EDGE_HOME" in failed.err
    assert "Traceback" not in failed.err
