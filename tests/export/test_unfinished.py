"""Exports beside each other: one process for each target, and what a killed one left is cleared and named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rim_export import pipeline
from rim_export.errors import CheckpointError
from rim_runtime.machine.locks import make_and_lock

from tests.cli.conftest import Run
from tests.export.conftest import TinyCheckpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows locks no folders")


def test_a_second_export_to_one_target_is_refused_before_the_work(
    run: Run, tied_checkpoint: TinyCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rim_export.pipeline.convert", lambda *_: pytest.fail("it should not begin"))
    target = tmp_path / "bundle"
    lock = make_and_lock(tmp_path / ".bundle.rim-edge-unfinished")  # as another process would
    assert lock
    failed = run("export", "--model", str(tied_checkpoint.path), "-o", str(target))
    assert failed.code == 2
    assert f"{target} is being written by another process, expected one at a time. Wait" in failed.err
    assert not target.exists()
    lock.release()


def test_what_killed_exports_left_is_cleared_and_named(
    run: Run, tied_checkpoint: TinyCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the work; the export itself is cut short, which costs its notes."""

    def stop(*_: object) -> None:
        raise CheckpointError("enough")

    monkeypatch.setattr("rim_export.pipeline.convert", stop)
    mine, others = (tmp_path / f".{name}.rim-edge-unfinished" for name in ("bundle", "other"))
    for left in (mine, others):
        left.mkdir()
        (left / "model.int8.onnx.data").write_bytes(b"half")
    alive = make_and_lock(tmp_path / ".alive.rim-edge-unfinished")
    assert alive
    assert run("export", "--model", str(tied_checkpoint.path), "-o", str(tmp_path / "bundle")).code == 2
    assert not mine.exists()
    assert not others.exists()
    assert (tmp_path / ".alive.rim-edge-unfinished").is_dir()
    assert pipeline._cleared_note(others).startswith(f"Removed {others}, which an export or a training run left")
    alive.release()
