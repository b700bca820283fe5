"""What people give in a checkpoint's place: each is named, with what to do, by export, train and eval alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CheckpointError, CheckpointNotFoundError, UnsupportedModelError
from safetensors.torch import load_file, save_file

from tests.places import DEMO_PACKAGE

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4665\nsize 3441185608\n"
WEIGHTS = "model.safetensors"


def write(name: str, content: str | bytes = "x") -> Callable[[Path], None]:
    """Return a change that writes one file."""

    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def rename(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: (folder / old).rename(folder / new) and None


def copied(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: shutil.copyfile(folder / old, folder / new) and None


def indexed(*files: str) -> Callable[[Path], None]:
    """Return a change that writes an index of these files."""
    return write(f"{WEIGHTS}.index.json", json.dumps({"weight_map": {f"a.{file}": file for file in files}}))


def without(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def renamed_tensors(rule: Callable[[str], str]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        save_file({rule(name): tensor for name, tensor in weights.items()}, folder / WEIGHTS)

    return change


def in_order(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda folder: [change(folder) for change in changes] and None


def configured(**entries: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps(config | entries), encoding="utf-8")

    return change


def head_of(rows: int) -> Callable[[Path], None]:
    """Return a change to a head of its own with so many rows."""

    def change(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        table = weights["model.embed_tokens.weight"]
        weights["lm_head.weight"] = torch.ones(rows, table.shape[1], dtype=table.dtype)
        save_file(weights, folder / WEIGHTS)

    return in_order(change, configured(tie_word_embeddings=False))


def as_bundle(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(DEMO_PACKAGE / "bundle", folder)


def in_folder(name: str) -> Callable[[Path], None]:
    """Return a change that moves all files into a folder inside."""

    def change(folder: Path) -> None:
        files = list(folder.iterdir())
        (folder / name).mkdir(parents=True)
        for file in files:
            file.rename(folder / name / file.name)

    return change


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


ADAPTER = json.dumps({"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-1.7B"})
SHARD = "model-00001-of-00002.safetensors"
YARN = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6}
PLAIN = {"rope_type": "default", "rope_theta": 1e6}

CASES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "LFS weights": (write(WEIGHTS, POINTER), (WEIGHTS, "Git LFS pointer", "git lfs pull")),
    "LFS tokenizer": (write("tokenizer.json", POINTER), ("tokenizer.json", "Git LFS pointer", "git lfs pull")),
    "LFS config": (write("config.json", POINTER), ("config.json", "Git LFS pointer", "git lfs pull")),
    "LFS template": (write("chat_template.jinja", POINTER), ("chat_template.jinja", "Git LFS pointer")),
    "LFS index": (
        in_order(without(WEIGHTS), write(f"{WEIGHTS}.index.json", POINTER)),
        ("index.json", "Git LFS pointer"),
    ),
    "a web page as weights": (write(WEIGHTS, "<!DOCTYPE html><html>"), (WEIGHTS, "a web page", "Download")),
    "a web page as config": (write("config.json", "\n<html>"), ("config.json", "a web page")),
    "a pickle called safetensors": (write(WEIGHTS, b"PK\x03\x04" + bytes(60)), ("as torch.save writes it",)),
    "an adapter alone": (
        in_order(emptied, write("adapter_config.json", ADAPTER), write("adapter_model.safetensors")),
        ("LoRA adapter of Qwen/Qwen3-1.7B", "merge_and_unload", "rim-edge train"),
    ),
    "an adapter beside a model": (write("adapter_config.json", ADAPTER), ("LoRA adapter of Qwen/Qwen3-1.7B",)),
    "an adapter of nobody": (write("adapter_config.json", "[]"), ("LoRA adapter (adapter_config.json)",)),
    "peft's prefix": (
        renamed_tensors(lambda name: f"base_model.model.{name}"),
        ("peft's prefix 'base_model.model.'", "merge_and_unload"),
    ),
    "a wrapper's prefix": (
        renamed_tensors(lambda name: f"module.{name}"),
        ("prefix 'module.'", "save_pretrained"),
    ),
    "adapters inside": (
        renamed_tensors(lambda name: name.replace("q_proj.weight", "q_proj.base_layer.weight")),
        ("an adapter that is not merged", "base_layer"),
    ),
    "without a head": (
        renamed_tensors(lambda name: name.removeprefix("model.")),
        ("without its output layer", "AutoModelForCausalLM"),
    ),
    "one shard without an index": (
        rename(WEIGHTS, SHARD),
        (SHARD, "one of 2 weight files", "lacks model.safetensors.index.json and 1 of 2"),
    ),
    "all shards without an index": (
        in_order(rename(WEIGHTS, SHARD), write(SHARD.replace("1-of", "2-of"))),
        ("lacks model.safetensors.index.json. Copy",),
    ),
    "two sets of weights": (
        in_order(copied(WEIGHTS, SHARD), indexed(SHARD)),
        ("has both model.safetensors and an index of other weight files", "Remove the older"),
    ),
    "one tensor in two shards": (
        in_order(
            copied(WEIGHTS, SHARD),
            rename(WEIGHTS, SHARD.replace("1-of", "2-of")),
            indexed(SHARD, SHARD.replace("1-of", "2-of")),
        ),
        ("'model.embed_tokens.weight' in model-00001-of-00002.safetensors and in model-00002", "expected it once"),
    ),
    "another name": (
        rename(WEIGHTS, "model.fp16.safetensors"),
        ("has model.fp16.safetensors, expected", "rename"),
    ),
    "GGUF": (
        in_order(emptied, write("qwen3.Q4_K_M.gguf")),
        ("a GGUF model", "converted from", "rim_edge.model.gguf"),
    ),
    "GGUF with a config": (
        rename(WEIGHTS, "qwen3.gguf"),
        ("a GGUF model", "converted from", "rim_edge.model.gguf"),
    ),
    "GGUF called safetensors": (write(WEIGHTS, b"GGUF" + bytes(60)), ("a GGUF file", "rim_edge.model.gguf")),
    "bitsandbytes": (
        configured(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        ("quantized weights (bitsandbytes, quantization_config", "model.dequantize()"),
    ),
    "GPTQ": (configured(quantization_config={"quant_method": "gptq", "bits": 4}), ("quantized weights (gptq,",)),
    "AWQ": (configured(quantization_config={"quant_method": "awq", "bits": 4}), ("quantized weights (awq,",)),
    "quantized somehow": (
        configured(quantization_config={"bits": 4}),
        ("quantized weights (quantization_config",),
    ),
    "half a download": (
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:9999]) and None,
        (WEIGHTS, "again"),
    ),
    "pickled": (rename(WEIGHTS, "pytorch_model.bin"), ("pickled weights", "save_pretrained")),
    "pickled alone": (in_order(emptied, write("best.pt")), ("pickled weights", "save_pretrained")),
    "pickled shards": (
        in_order(rename(WEIGHTS, "pytorch_model-00001-of-00002.bin"), write("pytorch_model.bin.index.json")),
        ("pickled weights",),
    ),
    "Flax": (rename(WEIGHTS, "flax_model.msgpack"), ("TensorFlow or Flax", "save_pretrained")),
    "ONNX": (rename(WEIGHTS, "model.onnx"), ("an ONNX model", "made from")),
    "ONNX in a folder": (in_order(without(WEIGHTS), write("onnx/model.onnx")), ("an ONNX model",)),
    "a bundle": (as_bundle, ("is a bundle", "rim-edge ask --bundle")),
    "an empty folder": (emptied, ("is empty",)),
    "one folder too high": (in_folder("checkpoint-500"), ("no config.json", "/checkpoint-500")),
    "a hub's cache": (in_folder("snapshots/4f1e"), ("no config.json", "/snapshots/4f1e")),
    "a head with too few rows": (head_of(1000), ("lm_head.weight has shape [1000, 96]", "config.json says [")),
    "a table with too few rows": (
        configured(vocab_size=5000),
        ("model.embed_tokens.weight has shape", "config.json says [5000, 96]"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_other_forms_are_named(tmp_path: Path, case: str) -> None:
    change, words = CASES[case]
    folder = Path(shutil.copytree(DEMO_PACKAGE / "checkpoint", tmp_path / "given"))
    change(folder)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.open(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    "rope",
    [
        {"full_attention": YARN},
        {"full_attention": PLAIN, "sliding_attention": YARN},
        {"full_attention": PLAIN},
    ],
)
def test_rope_parameters_by_type_of_layer(tmp_path: Path, rope: Any) -> None:
    folder = Path(shutil.copytree(DEMO_PACKAGE / "checkpoint", tmp_path / "given"))
    configured(rope_parameters=rope)(folder)
    with pytest.raises(UnsupportedModelError, match="RoPE by type of layer"):
        Checkpoint.open(folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("qwen3.gguf", "llama.cpp's format.* python -m rim_edge.model.gguf"),
        ("model.zip", "Unpack it"),
        ("config.json", "Give the folder that holds it"),
        ("notes.txt", "is a file, expected a checkpoint's folder"),
    ],
)
def test_a_file_in_a_folders_place(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(CheckpointNotFoundError, match=says):
        Checkpoint.open(tmp_path / name)


@pytest.mark.parametrize("name", ["nobody/nothing-here", "foo bar/baz", "a/b/c", "~/nothing-here", "a--b/.c"])
def test_names_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(CheckpointNotFoundError, match=r"There is no checkpoint folder|rim-edge downloads nothing"):
        Checkpoint.open(name)


@pytest.mark.parametrize("name", ["README.md", "training_args.bin", "consolidated.safetensors", "model.gguf"])
def test_files_that_are_not_read_may_be_anything(tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(DEMO_PACKAGE / "checkpoint", tmp_path / "given"))
    (folder / name).write_text(POINTER)
    assert Checkpoint.open(folder).weights.paths == (folder / WEIGHTS,)
