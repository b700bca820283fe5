"""What would fail at the end of an export is refused at its start, before torch is imported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rim_export
from rim_export import preflight
from rim_export.checkpoint.folder import Checkpoint
from rim_export.settings import ExportOptions
from rim_export.size import estimated_bytes
from rim_runtime.bundle.manifest import Dialect, Head, Precision
from rim_runtime.engines.names import EngineName
from rim_runtime.errors import InputError, RimError, RowError, StorageError, TargetExistsError

from tests.places import DEMO_PACKAGE

CHECKPOINT = DEMO_PACKAGE / "checkpoint"


def test_nothing_is_left_and_torch_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys, rim_export; from pathlib import Path; "
        f"rim_export.check_request({str(CHECKPOINT)!r}, Path({str(tmp_path)!r}) / 'a' / 'b', "
        "rim_export.ExportOptions()); sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    assert not list(tmp_path.iterdir())


def refused(
    tmp_path: Path, error: type[RimError], model: Path = CHECKPOINT, target: str = "out", **chosen: Any
) -> str:
    """Check a request, expect this error and nothing written; return its message."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error) as caught:
        rim_export.check_request(model, tmp_path / target, ExportOptions(**chosen))
    assert sorted(tmp_path.rglob("*")) == before
    return str(caught.value)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "already exists" in refused(tmp_path, TargetExistsError, target="file")
    assert "already exists" in refused(tmp_path, TargetExistsError, report=tmp_path / "file")
    assert "Cannot write" in refused(tmp_path, StorageError, target="file/below")
    assert "Cannot write" in refused(tmp_path, StorageError, target="x" * 300)
    assert "Cannot write" in refused(tmp_path, StorageError, report=tmp_path / "file" / "report.json")
    with pytest.raises(StorageError, match="Cannot write /proc/xx"):
        rim_export.check_request(CHECKPOINT, Path("/proc/xx"), ExportOptions())


def test_a_disk_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = estimated_bytes(Checkpoint.open(CHECKPOINT), ExportOptions())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage._replace(free=needed - 1))
    said = refused(tmp_path, StorageError)
    assert f"are free for {tmp_path / 'out'}, the bundle takes about 1 MB. Nothing was written." in said
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage._replace(free=needed))
    rim_export.check_request(CHECKPOINT, tmp_path / "out", ExportOptions())


def test_files_of_questions_are_read_first(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    nothing = tmp_path / "nothing.jsonl"
    rows.write_text("{\n")
    for chosen in ({"certify": rows}, {"calibration": rows, "precision": Precision.FP8}):
        assert f"{rows}, line 1: no JSON" in refused(tmp_path, RowError, model=nothing, **chosen)
    for chosen in ({"certify": nothing}, {"calibration": nothing, "precision": Precision.FP8}):
        assert "nothing.jsonl" in refused(tmp_path, RowError, model=tmp_path / "no-model", **chosen)
    rows.write_text("".join(json.dumps({"question": f"Who is {number}?"}) + "\n" for number in range(12)))
    chosen = {"certify": rows, "calibration": rows, "precision": Precision.FP8}
    assert "12 are the certificate's: 0 are left, expected at least 8" in refused(tmp_path, InputError, **chosen)


@pytest.mark.parametrize(
    ("options", "megabytes"),
    [
        # 1.41e9 weights of products, 0.311e9 of the table, as of Qwen3-1.7B (docs/precisions.md).
        ({}, 1_720),
        ({"precision": Precision.FP32}, 6_260),
        ({"precision": Precision.INT4, "dialect": Dialect.ORT}, 1_040),
        ({"precision": Precision.INT4, "dialect": Dialect.ORT, "block_size": 32}, 1_130),
        ({"precision": Precision.BF16}, 3_440 + 1_720),
        ({"precision": Precision.BF16, "engine": EngineName.TRT}, 2 * 3_440 + 1_720),
        ({"head": Head.FULL}, 2_031),
    ],
)
def test_the_estimate_is_that_of_the_real_model(tmp_path: Path, options: dict[str, Any], megabytes: int) -> None:
    """By shapes alone: a file's header says them, and sparse files hold no weights."""
    folder = Path(shutil.copytree(CHECKPOINT, tmp_path / "real"))
    write_shapes(folder)
    found = estimated_bytes(Checkpoint.open(folder), ExportOptions(**options)) / 1e6
    assert found == pytest.approx(megabytes, rel=0.02)


def write_shapes(folder: Path) -> None:
    """Give a checkpoint the shapes of Qwen3-1.7B, and weights that take no room on the disk."""
    rows, hidden, inner = 151_936, 2048, 6144
    shapes = {"model.embed_tokens.weight": (rows, hidden), "model.norm.weight": (hidden,)}
    for layer in range(28):
        for name, shape in (
            ("self_attn.q_proj", (2048, hidden)),
            ("self_attn.k_proj", (1024, hidden)),
            ("self_attn.v_proj", (1024, hidden)),
            ("self_attn.o_proj", (hidden, 2048)),
            ("mlp.gate_proj", (inner, hidden)),
            ("mlp.up_proj", (inner, hidden)),
            ("mlp.down_proj", (hidden, inner)),
        ):
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    layers = {"num_hidden_layers": 28, "layer_types": 28 * ["full_attention"]}
    sizes = {"vocab_size": rows, "hidden_size": hidden, "intermediate_size": inner, **layers}
    (folder / "config.json").write_text(json.dumps(config | sizes), encoding="utf-8")
