"""Every bundle that must not answer, with the error it gives instead."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from rim_runtime import (
    BundleCorruptError,
    BundleNotFoundError,
    BundleVersionError,
    Engine,
    EngineUnavailableError,
    RimError,
)
from rim_runtime.bundle.folder import file_entries
from rim_runtime.version import __version__
from tokenizers import Tokenizer

GRAPH, DATA = "model.fp32.onnx", "model.fp32.onnx.data"
Change = Callable[[Path], object]


def edit(change: Callable[[dict[str, Any]], object], *, rehash: bool = True) -> Change:
    """Change a manifest; with `rehash` its own hash fits again, as if another tool had written it."""

    def apply(bundle: Path) -> None:
        path = bundle / "manifest.json"
        body = json.loads(path.read_text(encoding="utf-8"))
        stated = body.pop("manifest_sha256")
        change(body)
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        fitting = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        path.write_text(json.dumps(body | {"manifest_sha256": fitting if rehash else stated}), encoding="utf-8")

    return apply


def field(section: str, **values: object) -> Change:
    return edit(lambda body: body[section].update(values))


def listed(name: str) -> Change:
    return edit(lambda body: body["files"].update({name: {"bytes": 1, "sha256": ""}}))


def unlisted(name: str) -> Change:
    return edit(lambda body: body["files"].pop(name))


def truncate(name: str) -> Change:
    return lambda bundle: (bundle / name).write_bytes((bundle / name).read_bytes()[:-3])


def flip(name: str) -> Change:
    def apply(bundle: Path) -> None:
        content = bytearray((bundle / name).read_bytes())
        content[len(content) // 2] ^= 1
        (bundle / name).write_bytes(bytes(content))

    return apply


def manifest_is(content: bytes) -> Change:
    return lambda bundle: (bundle / "manifest.json").write_bytes(content)


def replace(name: str, content: bytes) -> Change:
    """Put other content into a file and list it with fitting size and hash."""

    def apply(bundle: Path) -> None:
        (bundle / name).write_bytes(content)
        entries = {name: dataclasses.asdict(entry) for name, entry in file_entries(bundle).items()}
        edit(lambda body: body.update(files=entries))(bundle)

    return apply


def golden(**values: object) -> Change:
    row = {"question": "Why?", "blocks": 8, "letter": "A", "log_probabilities": [], **values}
    return replace("golden.jsonl", json.dumps(row).encode() + b"\n")


def add_token(bundle: Path) -> None:
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.add_tokens(["<rim_b>"])
    replace("tokenizer.json", tokenizer.to_str().encode())(bundle)


def other_graph(operator: str = "Neg") -> bytes:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "other", values[:1], values[1:])
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    return bytes(model.SerializeToString())


def weights_from(location: str) -> Change:
    """Let one weight of the graph be read from another file."""

    def apply(bundle: Path) -> None:
        model = onnx.load(bundle / GRAPH, load_external_data=False)
        entries = next(tensor.external_data for tensor in model.graph.initializer if tensor.external_data)
        next(entry for entry in entries if entry.key == "location").value = location
        replace(GRAPH, model.SerializeToString())(bundle)

    return apply


CORRUPT: dict[str, tuple[Change, str]] = {
    "truncated data": (truncate(DATA), "bytes, its manifest says"),
    "truncated manifest": (truncate("manifest.json"), "is not JSON"),
    "altered data": (flip(DATA), "was altered: its SHA-256 is"),
    "altered graph": (flip(GRAPH), "was altered: its SHA-256 is"),
    "altered tokenizer": (flip("tokenizer.json"), "was altered: its SHA-256 is"),
    "altered golden": (flip("golden.jsonl"), "was altered: its SHA-256 is"),
    "altered licence": (flip("LICENSE"), "was altered: its SHA-256 is"),
    "missing data": (lambda bundle: (bundle / DATA).unlink(), "is missing, its manifest lists it"),
    "binary manifest": (manifest_is(b"\xff\x00"), "cannot be read"),
    "foreign manifest": (manifest_is(b'{"files": []}'), "is not a rim-edge manifest: it has no schema_version"),
    "list as manifest": (manifest_is(b"[]"), "is not a rim-edge manifest: it has no schema_version"),
    "deep manifest": (manifest_is(b"[" * 200_000), "is not JSON"),
    "altered manifest": (
        edit(lambda body: body.update(name="x"), rehash=False),
        "its manifest_sha256 is not the hash of its content",
    ),
    "unknown key": (edit(lambda body: body.update(extra=1)), "expected the keys"),
    "missing key": (edit(lambda body: body.pop("limits")), "expected the keys"),
    "wrong type": (field("limits", max_length="9"), "max_length is '9', expected int"),
    "true as a number": (field("limits", max_length=True), "max_length is True, expected int"),
    "unknown precision": (
        edit(lambda body: body["variants"][0].update(precision="int3")),
        "precision is 'int3', expected one of fp32, bf16",
    ),
    "shuffled letters": (edit(lambda body: body.update(letters={"B": 1, "A": 0})), "impossible values in letters"),
    "a letter too few": (edit(lambda body: body["letters"].pop("J")), "it does not belong to this manifest"),
    "a letter without a name": (
        edit(lambda body: body["letters"].update({"": 3})),
        "impossible values in letters",
    ),
    "escapes in a name": (
        edit(lambda body: body.update(name="x\x1b]0;owned\x07")),
        r"has 'x\x1b]0;owned\x07', exp",
    ),
    "escapes in a key": (
        edit(lambda body: body["letters"].update({"\x9b2J": 3})),
        r"has '\x9b2J', expected no control",
    ),
    "turned text": (
        edit(lambda body: body["source"].update(model="a\u202eb")),
        r"has 'a\u202eb', expected no control",
    ),
    "half a character": (edit(lambda body: body.update(name="\ud800")), "is not JSON"),
    "a long name": (edit(lambda body: body.update(name="x" * 300)), "impossible values in name"),
    "no name": (edit(lambda body: body.update(name="")), "impossible values in name"),
    "a negative letter": (edit(lambda body: body["letters"].update(A=-1)), "impossible values in letters"),
    "a huge letter": (edit(lambda body: body["letters"].update(A=10**30)), "impossible values in letters"),
    "two letters alike": (
        edit(lambda body: body["letters"].update(A=body["letters"]["B"])),
        "impossible values in letters",
    ),
    "huge limits": (field("limits", max_length=10**18, model_positions=10**18), "impossible values in limits"),
    "an empty block": (field("prompt", block=[]), "impossible values in prompt"),
    "a huge token": (field("prompt", prefix=[10**30]), "impossible values in prompt"),
    "more blocks than the limits": (field("prompt", blocks=10**9), "impossible values in limits"),
    "more blocks than the graph": (
        edit(lambda body: (body["prompt"].update(blocks=9), body["limits"].update(question_tokens=99))),
        "golden.jsonl asks with up to 8 memory blocks, its manifest says 9",
    ),
    "no variants": (edit(lambda body: body.update(variants=[])), "impossible values in variants"),
    "negative limit": (field("limits", max_length=-1), "impossible values in limits"),
    "negative token": (field("prompt", head=[-4]), "impossible values in prompt"),
    "no prefix": (field("prompt", prefix=[]), "impossible values in prompt"),
    "unlisted graph": (unlisted(GRAPH), f"lists no {GRAPH}"),
    "unlisted golden": (unlisted("golden.jsonl"), "lists no golden.jsonl"),
    "listed, not there": (listed("more.txt"), "is missing, its manifest lists it"),
    "a path out of it": (listed("../x"), "lists '../x', which is no plain file name"),
    "an absolute path": (listed("/etc/passwd"), "lists '/etc/passwd', which is no plain file name"),
    "added tokens": (add_token, "has added tokens, so a question could turn into control tokens"),
    "no tokenizer": (replace("tokenizer.json", b"{}"), "is no tokenizer that can be read"),
    "no golden question": (replace("golden.jsonl", b""), "has no question"),
    "golden without letter": (replace("golden.jsonl", b'{"question": "x"}\n'), "cannot be read"),
    "golden as a number": (replace("golden.jsonl", b"7\n"), "cannot be read"),
    "golden nested too deep": (
        replace("golden.jsonl", b"[" * 200_000),
        "cannot be read (ValueError('it is nested",
    ),
    "golden with a huge number": (golden(log_probabilities=[10**400]), "cannot be read (OverflowError"),
    "golden question empty": (golden(question=" "), "a golden question cannot be asked (The question is empty"),
    "golden question as a list": (golden(question=[]), "cannot be read"),
    "golden blocks over K": (golden(blocks=9), "a golden question cannot be asked (Got 9 blocks"),
    "no graph at all": (replace(GRAPH, b"this is no graph"), "cannot be read (wire type 4"),
    "a graph that ends early": (replace(GRAPH, other_graph()[:-1]), "cannot be read (a field that runs over"),
    "weights from outside": (
        weights_from("../weights"),
        "reads its weights from '../weights', expected 'model.fp32",
    ),
    "weights from a list": (weights_from("golden.jsonl"), "reads its weights from 'golden.jsonl'"),
    "weights from anywhere": (weights_from(""), "reads its weights from ''"),
    "another graph": (replace(GRAPH, other_graph()), "It is no rim-edge graph"),
}

OTHERS: dict[str, tuple[Change, type[RimError], str]] = {
    "no manifest": (
        lambda bundle: (bundle / "manifest.json").unlink(),
        BundleNotFoundError,
        "is not a bundle: it has no manifest.json",
    ),
    "a pipe as manifest": (
        lambda bundle: ((bundle / "manifest.json").unlink(), os.mkfifo(bundle / "manifest.json")),
        BundleNotFoundError,
        "is not a bundle: it has no manifest.json",
    ),
    "newer schema": (
        edit(lambda body: body.update(schema_version=2)),
        BundleVersionError,
        f", this release reads 1 (rim-edge {__version__}). Upgrade rim-edge",
    ),
    "schema comes before hash": (
        edit(lambda body: body.update(schema_version=2), rehash=False),
        BundleVersionError,
        "has schema version 2",
    ),
    "schema as a text": (edit(lambda body: body.update(schema_version="1")), BundleVersionError, "version '1'"),
    "schema as true": (edit(lambda body: body.update(schema_version=True)), BundleVersionError, "version True"),
    "unknown operator": (replace(GRAPH, other_graph("NoSuch")), EngineUnavailableError, "cannot load"),
}


@pytest.mark.parametrize("case", CORRUPT)
def test_corrupt_bundles(tiny_bundle: Path, case: str) -> None:
    change, message = CORRUPT[case]
    change(tiny_bundle)
    _refused(tiny_bundle, BundleCorruptError, message)


@pytest.mark.parametrize("case", OTHERS)
def test_other_bad_bundles(tiny_bundle: Path, case: str) -> None:
    change, error, message = OTHERS[case]
    change(tiny_bundle)
    _refused(tiny_bundle, error, message)


def test_no_such_folder(tmp_path: Path) -> None:
    _refused(tmp_path / "nowhere", BundleNotFoundError, "There is no bundle at")
    with pytest.raises(FileNotFoundError):
        Engine.load(tmp_path / "nowhere")


def test_a_name_that_no_system_takes() -> None:
    with pytest.raises(BundleNotFoundError, match=r"cannot be read .*Check the path and permissions") as caught:
        Engine.load(Path("x" * 5_000))
    assert len(str(caught.value)) < 400


def test_a_folder_that_may_not_be_entered(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user who is not root sees it."""

    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(BundleNotFoundError, match=r"cannot be read \(Permission denied\)"):
        Engine.load(tiny_bundle)


def test_a_share_that_drops(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.is_file

    def drop(path: Path) -> bool:
        if path.name == DATA:
            raise OSError(errno.ESTALE, "Stale file handle", str(path))
        return original(path)

    monkeypatch.setattr(Path, "is_file", drop)
    with pytest.raises(BundleCorruptError, match=r"data cannot be read \(Stale file handle\)"):
        Engine.load(tiny_bundle)


def test_a_file_is_no_folder(tiny_bundle: Path) -> None:
    _refused(tiny_bundle / GRAPH, BundleNotFoundError, "expected a folder")


@pytest.mark.parametrize("case", ["another graph", "a letter too few"])
def test_openvino_refuses_foreign_graphs(tiny_bundle: Path, case: str) -> None:
    change, message = CORRUPT[case]
    change(tiny_bundle)
    _refused(tiny_bundle, BundleCorruptError, message, "openvino")


def test_openvino_refuses_unknown_operators(tiny_bundle: Path) -> None:
    replace(GRAPH, other_graph("NoSuch"))(tiny_bundle)
    _refused(tiny_bundle, EngineUnavailableError, "cannot load", "openvino")


def _refused(bundle: Path, error: type[RimError], message: str, engine: str = "auto") -> None:
    with pytest.raises(error) as caught:
        Engine.load(bundle, engine=engine)
    assert message in str(caught.value)
    assert str(bundle) in str(caught.value)
