"""Checkpoints that cannot be exported say why, and nothing is written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
import rim_export
from rim_export import preflight
from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CheckpointError, CheckpointNotFoundError, UnsupportedModelError
from rim_runtime.errors import InputError, RimError, RowError, StorageError, TargetExistsError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from rim_edge.demo.make import CHECKPOINT, HERE


def refused(checkpoint: str | Path, tmp_path: Path, error: type[RimError], **options: Any) -> str:
    """Export, expect this error, and nothing beside the target; return its message."""
    target = tmp_path / "out" / "bundle"
    settings = rim_export.ExportOptions(**options)
    with pytest.raises(error) as caught:
        rim_export.export(checkpoint, target, settings)
    assert not target.parent.exists() or not list(target.parent.iterdir())
    return str(caught.value)


def edit_config(folder: Path, **entries: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_no_such_folder(tmp_path: Path) -> None:
    message = refused(tmp_path / "nowhere", tmp_path, CheckpointNotFoundError)
    assert "no checkpoint folder" in message
    assert "nowhere" in message


def test_default_model_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    message = refused(rim_export.DEFAULT_MODEL, tmp_path, CheckpointNotFoundError)
    assert "hf download NDIJayant/OpenMed-qwen3-1.7b-RIM" in message
    assert "--model DIR" in message


def test_not_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    assert "no config.json" in refused(tmp_path / "other", tmp_path, CheckpointError)


def test_config_that_is_not_json(damaged: Path, tmp_path: Path) -> None:
    (damaged / "config.json").write_text("{")
    assert "not JSON" in refused(damaged, tmp_path, CheckpointError)


MARK = b"\xef\xbb\xbf"
"""A byte order mark, as Windows' editors and shells put it before UTF-8."""


def test_a_config_may_have_a_byte_order_mark(damaged: Path) -> None:
    file = damaged / "config.json"
    without = Checkpoint.open(damaged)
    ids = without.load_tokenizer().encode("There are three rooms.")
    file.write_bytes(MARK + file.read_bytes())
    checkpoint = Checkpoint.open(damaged)
    assert checkpoint.config == without.config
    assert checkpoint.load_config().to_dict() == without.load_config().to_dict()
    assert checkpoint.load_tokenizer().encode("There are three rooms.") == ids


def test_a_config_that_is_nested_too_deep(damaged: Path, tmp_path: Path) -> None:
    (damaged / "config.json").write_text("[" * 200_000)
    assert "is not JSON (it is nested too deep)" in refused(damaged, tmp_path, CheckpointError)


def test_code_in_a_checkpoint_is_not_run_and_nobody_is_asked(
    damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    (damaged / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Own: pass\n")
    edit_json(damaged / "tokenizer_config.json", lambda value: value.update(
        tokenizer_class="Own", auto_map={"AutoTokenizer": ["own.Own", "own.Own"]}))  # fmt: skip
    edit_config(damaged, auto_map={"AutoConfig": "own.Own"})
    asked: list[object] = []
    monkeypatch.setattr("builtins.input", lambda *question: asked.append(question) or "y")
    load, allowed = AutoTokenizer.from_pretrained, []

    def spy(*arguments: Any, **options: Any) -> Any:
        allowed.append(options.get("trust_remote_code"))
        return load(*arguments, **options)

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", spy)
    checkpoint = Checkpoint.open(damaged)
    assert type(checkpoint.load_config()).__module__.startswith("transformers.models.qwen3")
    checkpoint.load_tokenizer()
    assert allowed == [False], "None would ask, where transformers has no class of its own"
    assert not asked
    assert not ran.exists()


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"model_type": "gpt_neox"}, "'gpt_neox'"),
        ({"use_sliding_window": True}, "sliding window"),
        ({"layer_types": ["sliding_attention"] * 3}, "sliding window"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope scaling"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0}}, "rope scaling"),
        ({"model_type": "gemma3_text"}, "1 + w"),
        ({"quantization_config": {"bits": 4}}, "quantized weights"),
    ],
)
def test_unsupported_models_are_refused_by_name(
    damaged: Path, tmp_path: Path, entries: dict[str, Any], named: str
) -> None:
    edit_config(damaged, **entries)
    assert named in refused(damaged, tmp_path, UnsupportedModelError)


def test_without_rim_tokens(damaged: Path, tmp_path: Path) -> None:
    edit_config(damaged, rim={"tokens": ["<a>", "<b>", "<c>"]})
    message = refused(damaged, tmp_path, CheckpointError)
    assert "<a>, <b>, <c>" in message
    assert "not a RiM checkpoint" in message


def test_without_tokenizer(damaged: Path, tmp_path: Path) -> None:
    (damaged / "tokenizer.json").unlink()
    assert "no tokenizer.json" in refused(damaged, tmp_path, CheckpointError)


def test_without_chat_template(damaged: Path, tmp_path: Path) -> None:
    (damaged / "chat_template.jinja").unlink()
    assert "no chat template" in refused(damaged, tmp_path, CheckpointError)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ messages[0].content }}{{ messages[0].content }}", "2 times"),
        ("<|im_start|>nothing", "0 times"),
        ("{{ messages[0].content | upper }}", "0 times"),
        ("{{ raise_exception('no') }}", "fails on one user turn"),
    ],
)
def test_templates_that_change_the_question(damaged: Path, tmp_path: Path, template: str, says: str) -> None:
    (damaged / "chat_template.jinja").write_text(template)
    assert says in refused(damaged, tmp_path, CheckpointError)


@pytest.mark.parametrize(
    "entry", [{"blocks": 0}, {"blocks": "8"}, {"memory_tokens": 1.5}, {"prefix": ""}, {"colour": 1}, [8]]
)
def test_bad_rim_settings(damaged: Path, tmp_path: Path, entry: Any) -> None:
    edit_config(damaged, rim=entry)
    assert "rim" in refused(damaged, tmp_path, CheckpointError)


def test_without_weights(damaged: Path, tmp_path: Path) -> None:
    (damaged / "model.safetensors").unlink()
    message = refused(damaged, tmp_path, CheckpointError)
    assert "no weights" in message
    assert "safetensors" in message


def test_truncated_weights(damaged: Path, tmp_path: Path) -> None:
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "cannot be read" in refused(damaged, tmp_path, CheckpointError)


def test_missing_shard(untied_checkpoint: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(untied_checkpoint.path, tmp_path / "sharded"))
    lost = sorted(folder.glob("*.safetensors"))[0]
    lost.unlink()
    assert lost.name in refused(folder, tmp_path, CheckpointError)


def test_weights_of_another_model(damaged: Path, tmp_path: Path) -> None:
    edit_config(damaged, intermediate_size=64)
    message = refused(damaged, tmp_path, CheckpointError)
    assert "down_proj.weight has shape [48, 96], config.json says [48, 64]" in message


def test_weights_with_a_layer_too_few(damaged: Path, tmp_path: Path) -> None:
    edit_config(damaged, num_hidden_layers=4, layer_types=["full_attention"] * 4)
    assert "layers.3" in refused(damaged, tmp_path, CheckpointError)


def test_a_table_that_ends_before_the_tokens_of_the_prompt(damaged: Path, tmp_path: Path) -> None:
    """Tokens were added, the model was not resized: all of it fits together but for the ids."""
    weights = load_file(damaged / "model.safetensors")
    table = weights["model.embed_tokens.weight"]
    weights["model.embed_tokens.weight"] = table[: len(table) - 3].contiguous()
    save_file(weights, damaged / "model.safetensors")
    edit_config(damaged, vocab_size=len(table) - 3)
    message = refused(damaged, tmp_path, CheckpointError)
    assert f"reach {len(table) - 1}, the embedding table has {len(table) - 3} rows" in message


def test_no_room_for_a_question(damaged: Path, tmp_path: Path) -> None:
    message = refused(damaged, tmp_path, CheckpointError, max_length=30)
    assert "30 tokens" in message
    assert "39 are fixed" in message


def test_existing_target(damaged: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetExistsError, match="already exists"):
        rim_export.export(damaged, tmp_path)


@pytest.mark.parametrize("max_flips", [-0.1, 1.1])
def test_bad_max_flips(max_flips: float) -> None:
    with pytest.raises(InputError, match="expected a share from 0 to 1"):
        rim_export.ExportOptions(max_flips=max_flips)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty, expected rows"),
        ('{"question": "Why?"}\n', "has 1 certificate questions, 1 different ones, expected at least 12"),
        (96 * '{"question": "Why?"}\n', "has 96 certificate questions, 1 different ones"),
        ("{", "line 1: no JSON"),
        ('{"text": "Why?"}\n', "line 1: 'question' is None"),
        ('{"question": "Why?", "options": {"B": "x", "A": "y"}}\n', "in order"),
        ('{"question": "Why?", "options": {"A": "x"}}\n', "choices is 1, expected 2 to 10"),
        ('{"question": "Why?", "options": 3}\n', "expected a list of texts, or texts by letter"),
        ('{"question": "Why?", "answer": "C"}\n', "'answer' is 'C' and the row has no options"),
    ],
)
def test_bad_certificate_questions(damaged: Path, tmp_path: Path, content: str, says: str) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text(content)
    assert says in refused(damaged, tmp_path, RowError, certify=questions)


def test_certificate_questions_that_are_not_gzip(damaged: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl.gz"
    questions.write_bytes(b"\x1f\x8b" + b'{"question": "Why?"}\n')
    assert "cannot be read" in refused(damaged, tmp_path, RowError, certify=questions)


def test_a_disk_that_is_full_while_the_graph_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk's refusal is made up here, so that this runs for everyone; the next test fills a real one."""

    def full(model: Any, path: Path, **options: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ir, "save", full)
    message = refused(HERE / CHECKPOINT, tmp_path, StorageError)
    assert message.startswith("The disk is full")
    assert "nothing was written" in message


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="mounting a small disk needs root: a disk that is really full is NOT tested here",
)
def test_full_disk(tied_checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False, capture_output=True, timeout=300
    )
    if mounted.returncode:
        said = mounted.stderr.decode().strip()
        pytest.skip(f"this machine mounts no tmpfs, a disk that is really full is NOT tested here: {said}")
    try:
        with pytest.raises(StorageError, match="The disk is too full: 0 MB are free"):
            rim_export.export(tied_checkpoint.path, disk / "bundle", rim_export.ExportOptions(max_flips=1.0))
        monkeypatch.setattr(preflight, "estimated_bytes", lambda *_: 0)  # so that it fills up while it is written
        with pytest.raises(StorageError, match="The disk is full") as caught:
            rim_export.export(tied_checkpoint.path, disk / "bundle", rim_export.ExportOptions(max_flips=1.0))
        assert "nothing was written" in str(caught.value)
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True, timeout=300)
