"""Where things are kept, and users without a home folder, as containers have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rim_runtime import Engine, StorageError
from rim_runtime.machine.folders import bundles_folder, cache_folder, home_folder, plans_folder, state_file
from rim_runtime.machine.records import Records


@pytest.mark.usefixtures("no_home")
@pytest.mark.parametrize("find", [home_folder, cache_folder, bundles_folder, plans_folder, state_file])
def test_without_a_home_there_is_no_place_and_a_way_out(find: Callable[[], Path]) -> None:
    with pytest.raises(StorageError, match=r"no home folder .*Set RIM_EDGE_HOME to a folder"):
        find()


@pytest.mark.usefixtures("no_home")
def test_an_engine_answers_without_a_home(tiny_bundle: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with Engine.load(tiny_bundle) as engine:
        assert engine.ask("Why?").letter
        assert len(engine.notes) == 1
        assert engine.notes[0].endswith("Until then the bundle is tested at every load.")
        assert "Set RIM_EDGE_HOME" in engine.notes[0]
    assert set(tmp_path.iterdir()) == before, "no folder called ~"


@pytest.mark.usefixtures("no_home")
def test_without_a_place_nothing_is_kept() -> None:
    records = Records.here()
    records.add("selftests", "fact")
    records.keep("choices", 1, "fact")
    assert not records.has("selftests", "fact")
    assert records.recall("choices", "fact") is None


@pytest.mark.usefixtures("no_home")
def test_without_a_place_compiled_kernels_are_not_kept() -> None:
    from rim_runtime.engines.gpu_engines import _kernels_file
    from rim_runtime.machine.gpu import Gpus
    from rim_runtime.tensorrt.plans import PlanRequirements

    here = PlanRequirements("tensorrt-rtx", "1.7.1.116", "linux-x86_64", "sm_89")
    assert _kernels_file(here, Gpus("580.95", (13, 0), (), None)) is None
