"""The cache of plans: the newest for each graph and GPU, within a limit of bytes, the oldest removed first."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from rim_runtime.machine.folders import plans_folder
from rim_runtime.machine.locks import make_and_lock
from rim_runtime.tensorrt import plan_cache
from rim_runtime.tensorrt.plan_cache import PLAN, keep_plan, recall_plan

HOUR = 3600


def facts(graph: str = "a", target: str = "sm_89", version: str = "1.7") -> dict[str, str]:
    return {"graph_sha256": graph * 64, "target": target, "version": version}


def names() -> set[str]:
    return {path.name for path in plans_folder().iterdir()}


def set_age(path: Path, hours: float) -> None:
    then = time.time() - hours * HOUR
    os.utime(path, (then, then))


def keep(graph: str, size: int, hours: float) -> Path:
    """Keep a plan that was used some hours ago."""
    keep_plan(facts(graph), bytes(size))
    folder = plans_folder() / f"{graph * 32}-sm_89"
    set_age(folder, hours)
    return folder


def test_the_newest_plan_of_a_graph_and_a_gpu_replaces_the_one_before() -> None:
    for version in ("1.7", "1.8"):
        keep_plan(facts(version=version), b"plan of " + version.encode())
    keep_plan(facts(target="sm_120"), b"another GPU")
    keep_plan(facts(graph="b"), b"another graph")
    assert names() == {
        f"{graph * 32}-{target}" for graph, target in (("a", "sm_89"), ("a", "sm_120"), ("b", "sm_89"))
    }
    assert recall_plan(facts(version="1.7")) is None
    assert recall_plan(facts(version="1.8")) == b"plan of 1.8"


def test_a_plan_is_kept_from_the_librarys_own_memory() -> None:
    keep_plan(facts(), memoryview(b"plan"))
    assert recall_plan(facts()) == b"plan"


def test_over_the_limit_what_was_not_used_for_longest_goes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plan_cache, "MOST_BYTES", 3_900)
    for graph, hours in (("a", 3), ("b", 2), ("c", 1)):
        keep(graph, 1_000, hours)
    assert recall_plan(facts("a")) is not None, "used now"
    with caplog.at_level("INFO", logger="rim_runtime"):
        keep("d", 1_000, 0)
    assert {name[0] for name in names()} == {"a", "c", "d"}
    (told,) = [record.getMessage() for record in caplog.records]
    removed = plans_folder() / f"{'b' * 32}-sm_89"
    assert told.startswith(f"removed {removed} (")
    assert told.endswith("bytes): its folder may hold 3900 bytes")


def test_compiled_kernels_count_and_go_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_cache, "MOST_BYTES", 2_000)
    keep("a", 100, 1)
    for number, hours in ((1, 3), (2, 2)):
        kernels = plans_folder() / f"kernels-{number}"
        kernels.write_bytes(bytes(900))
        set_age(kernels, hours)
    keep("b", 100, 0)
    assert names() == {f"{'a' * 32}-sm_89", f"{'b' * 32}-sm_89", "kernels-2"}


def test_a_plan_larger_than_the_limit_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_cache, "MOST_BYTES", 500)
    keep("a", 100, 1)
    keep("b", 1_000, 0)
    assert names() == {f"{'b' * 32}-sm_89"}
    assert recall_plan(facts("b")) == bytes(1_000)


def test_what_a_killed_process_left_goes_and_what_another_writes_stays() -> None:
    keep("a", 100, 1)
    left, writing = (plans_folder() / f".{name}.rim-edge-unfinished" for name in "xy")
    locks = [make_and_lock(left), make_and_lock(writing)]
    assert locks[0] and locks[1]
    for folder in (left, writing):
        (folder / PLAN).write_bytes(b"half")
    locks[0].release()
    keep("b", 100, 0)
    locks[1].release()
    assert names() == {f"{'a' * 32}-sm_89", f"{'b' * 32}-sm_89", writing.name}


def test_a_link_in_the_folder_is_removed_and_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_cache, "MOST_BYTES", 0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "photo").write_bytes(b"dear")
    keep("a", 100, 1)
    (plans_folder() / "link").symlink_to(elsewhere)
    keep("b", 100, 0)
    assert names() == {f"{'b' * 32}-sm_89"}
    assert (elsewhere / "photo").read_bytes() == b"dear"
