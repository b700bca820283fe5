"""`rim-edge bundle optimum`: a folder under the ecosystem's names that writes our tokens."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rim_runtime import Engine, InputError
from rim_runtime.bundle.ecosystem import RECORD
from rim_runtime.bundle.folder import Bundle, save_manifest
from rim_runtime.bundle.manifest import FileEntry, Precision
from rim_runtime.bundle.optimum_folder import write_optimum_folder
from rim_runtime.errors import BundleCorruptError, TargetExistsError
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from rim_runtime.loading.load import load_encoder
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tests.places import DEMO_FOLDER
from tests.text_bundle import TextBundle, text_bundle

__all__ = ["text_bundle"]

TOKENS = 6
QUESTION = "Which one is it?"


@pytest.fixture
def written(text_bundle: TextBundle, tmp_path: Path) -> Path:
    write_optimum_folder(Bundle.load(text_bundle.path), tmp_path / "new" / "folder")
    return tmp_path / "new" / "folder"


def greedy(folder: Path, prompt: list[int]) -> list[int]:
    """Generate as others do: the inputs that the graph requires, by their names, the cache as it is returned."""
    library = import_onnxruntime()
    session = library.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    size = config["hidden_size"] // config["num_attention_heads"]
    shape = (1, config["num_key_value_heads"], 0, size)
    names = [one.name for one in session.get_inputs()]
    past = {name: np.zeros(shape, np.float32) for name in names if name.startswith("past_key_values.")}
    assert set(names) - set(past) == {"input_ids", "attention_mask", "position_ids"}
    found: list[int] = []
    ids, seen = list(prompt), 0
    while len(found) < TOKENS:
        total = seen + len(ids)
        own = {"input_ids": [ids], "attention_mask": [[1] * total], "position_ids": [list(range(seen, total))]}
        feed = {name: np.array(value, np.int64) for name, value in own.items()} | past
        outputs = dict(zip([one.name for one in session.get_outputs()], session.run(None, feed), strict=True))
        past = {name: outputs[name.replace("past_key_values", "present")] for name in past}
        ids, seen = [int(outputs["logits"][0, -1].argmax())], total
        found += ids
    return found


def test_others_read_the_folder_and_write_our_tokens(text_bundle: TextBundle, written: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(written)
    assert tokenizer.padding_side == "left"
    assert set(tokenizer(QUESTION)) == {"input_ids", "attention_mask"}, "what generate takes"
    prompt = load_encoder(Bundle.load(text_bundle.path)).compose(QUESTION).ids
    with Engine.load(text_bundle.path, engine="ort-cpu") as engine:
        ours = engine.generate(QUESTION, max_tokens=TOKENS).result()
    assert len(ours.tokens) == TOKENS
    assert greedy(written, list(prompt)) == list(ours.tokens)


def test_the_tokenizer_has_its_added_tokens_again(text_bundle: TextBundle, written: Path) -> None:
    checkpoint = text_bundle.path.parent / "checkpoint"
    ours, theirs = (Tokenizer.from_file(str(folder / "tokenizer.json")) for folder in (written, checkpoint))
    chat = AutoTokenizer.from_pretrained(checkpoint).apply_chat_template(
        [{"role": "user", "content": QUESTION}], tokenize=False, add_generation_prompt=True
    )
    assert ours.encode(chat).ids == theirs.encode(chat).ids
    again = AutoTokenizer.from_pretrained(written)
    told = again.apply_chat_template(
        [{"role": "user", "content": QUESTION}], tokenize=False, add_generation_prompt=True
    )
    assert told == chat
    stops = json.loads((written / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
    assert stops == [again.eos_token_id]


def test_the_folder_holds_what_is_needed_and_nothing_else(text_bundle: TextBundle, written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == [
        "LICENSE", "README.md", "config.json", "generation_config.json", "model.fp32.onnx.data", "model.onnx",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert [path.name for path in written.parent.iterdir()] == ["folder"]
    checkpoint = text_bundle.path.parent / "checkpoint" / "config.json"
    assert json.loads((written / "config.json").read_text(encoding="utf-8")) == json.loads(checkpoint.read_bytes())


def altered(text_bundle: TextBundle, folder: Path, **changes: Any) -> Bundle:
    """Return a copy of the bundle whose record says something else; None removes it."""
    shutil.copytree(text_bundle.path, folder)
    record, manifest = folder / RECORD, Bundle.load(folder).manifest
    files = dict(manifest.files)
    if changes:
        record.write_text(json.dumps(json.loads(record.read_bytes()) | changes), encoding="utf-8")
        bundle = Bundle(folder, manifest)
        digest = bundle.open_file(RECORD).sha256(None)
        files[RECORD] = FileEntry(bytes=record.stat().st_size, sha256=digest)
    else:
        record.unlink()
        del files[RECORD]
    save_manifest(folder, dataclasses.replace(manifest, files=files))
    return Bundle.load(folder)


def refused(source: Bundle, target: Path, kind: type[Exception], message: str, precision: Any = None) -> None:
    with pytest.raises(kind, match=message):
        write_optimum_folder(source, target, precision)
    assert not target.exists()
    assert not list(target.parent.glob(".*")), "nothing half written"


def test_what_cannot_be_written_is_refused_by_name(text_bundle: TextBundle, tmp_path: Path) -> None:
    whole, target = Bundle.load(text_bundle.path), tmp_path / "places" / "folder"
    target.parent.mkdir()
    refused(Bundle.load(DEMO_FOLDER), target, InputError, "letters alone.*--answers text")
    refused(whole, target, InputError, "no decoder in int4, expected one of: fp32", Precision.INT4)
    refused(whole, text_bundle.path / "inside", InputError, "lies inside the bundle")
    without = altered(text_bundle, tmp_path / "without")
    refused(without, target, InputError, f"no {RECORD}.*--answers text")
    narrow = altered(text_bundle, tmp_path / "narrow", heads=2)
    refused(narrow, target, InputError, "a cache of 2 heads of 16 channels, this one has 2 of 8")
    config = json.loads((text_bundle.path / RECORD).read_bytes())["config"] | {"model_type": "phi3"}
    unshared = altered(text_bundle, tmp_path / "unshared", config=config)
    refused(unshared, target, InputError, "a phi3 model with these sizes a cache of 4 heads of 8 channels")
    (tmp_path / "unshared" / RECORD).write_text("{}")
    damaged = altered(text_bundle, tmp_path / "damaged", heads="four")
    refused(damaged, target, BundleCorruptError, "heads is 'four', expected int")


def test_a_folder_that_is_there_stays_as_it_is(text_bundle: TextBundle, written: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in written.iterdir()}
    with pytest.raises(TargetExistsError):
        write_optimum_folder(Bundle.load(text_bundle.path), written)
    assert {path.name: path.stat().st_mtime_ns for path in written.iterdir()} == before
