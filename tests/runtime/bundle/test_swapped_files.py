"""What is hashed is what is read: files that are swapped or written while a bundle is loaded, and links."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper
from rim_runtime import Bundle, BundleCorruptError, Engine, EngineUnavailableError, RimError
from rim_runtime.bundle import integrity
from rim_runtime.engines import registry
from rim_runtime.machine.lease import Lease

GRAPH, DATA = "model.fp32.onnx", "model.fp32.onnx.data"
QUESTION = "Which one?\nA: this\nB: that\nC: neither"
ENGINES = ("ort-cpu", "openvino")
SIZES = {"small": 64_000_000, "large": 0}
"""HASH_EVERY_TIME by what it makes of a tiny bundle's weights."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows renames no open files")


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(integrity, "HASH_EVERY_TIME", SIZES[request.param])
    return str(request.param)


def other_weights(bundle: Path) -> bytes:
    """Weights of the same size that answer otherwise."""
    content = bytearray((bundle / DATA).read_bytes())
    return bytes(content[::-1])


def ask(bundle: Path, engine: str) -> float:
    with Engine.load(bundle, engine=engine, threads=1) as opened:
        return opened.ask(QUESTION).confidence


@pytest.mark.parametrize("engine", ENGINES)
def test_files_that_are_swapped_while_bundles_load_never_answer(tiny_bundle: Path, size: str, engine: str) -> None:
    right = ask(tiny_bundle, engine)
    outcomes = set()
    with swapping(tiny_bundle / DATA, other_weights(tiny_bundle)):
        for _ in range(25):
            try:
                outcomes.add(ask(tiny_bundle, engine))
            except RimError as error:
                assert isinstance(error, BundleCorruptError | EngineUnavailableError)
    assert outcomes <= {right}
    assert ask(tiny_bundle, engine) == right


@contextmanager
def swapping(path: Path, other: bytes) -> Iterator[None]:
    """Put other content in a file's place and back, by renaming, for longer than a tick of its clock."""
    kept, bad = path.with_name("kept"), path.with_name("bad")
    done = threading.Event()

    def swap() -> None:
        while not done.wait(0.012):
            bad.write_bytes(other)
            path.rename(kept)
            bad.rename(path)
            done.wait(0.012)
            kept.rename(path)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("how", ["written", "replaced"])
def test_a_file_that_changes_behind_its_check_is_refused(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, size: str, engine: str, how: str
) -> None:
    """After the check and before the engine opens it: the load is refused; with a lease, who writes waits."""
    monkeypatch.setattr(Lease, "_take", no_lease)
    other, data = other_weights(tiny_bundle), tiny_bundle / DATA

    def change() -> None:
        if how == "replaced":
            data.unlink()
        data.write_bytes(other)

    before_opening(monkeypatch, engine, change)
    with pytest.raises(BundleCorruptError, match=r"changed while it was loaded|was altered"):
        ask(tiny_bundle, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_small_files_are_opened_once(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """With the comparison afterwards left out, weights that were changed in between still do not answer."""
    right = ask(tiny_bundle, engine)
    other = other_weights(tiny_bundle)
    before_opening(monkeypatch, engine, lambda: (tiny_bundle / DATA).write_bytes(other))
    monkeypatch.setattr(integrity.GraphFiles, "require_unchanged", lambda files: None)
    assert ask(tiny_bundle, engine) == right


def no_lease(lease: Lease) -> None:
    raise OSError(errno.EACCES, "not here")


def before_opening(monkeypatch: pytest.MonkeyPatch, engine: str, change: Callable[[], object]) -> None:
    """Change something between the check of the files and the opening of the engine."""
    entry = registry._ENTRIES[engine]  # type: ignore[index]
    original = entry.open

    def opened(*given: object) -> object:
        change()
        return original(*given)  # type: ignore[arg-type]

    monkeypatch.setitem(entry.__dict__, "open", opened)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("linked", [(DATA,), (GRAPH, DATA), (GRAPH, DATA, "tokenizer.json", "golden.jsonl")])
def test_files_may_be_links(tiny_bundle: Path, tmp_path: Path, size: str, engine: str, linked: tuple[str]) -> None:
    """Hub caches and some installers keep files elsewhere, under other names, and link to them."""
    right = ask(tiny_bundle, engine)
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for number, name in enumerate(linked):
        shutil.move(tiny_bundle / name, blobs / str(number))
        (tiny_bundle / name).symlink_to(os.path.relpath(blobs / str(number), tiny_bundle))
    if (size, engine) == ("large", "openvino"):
        with pytest.raises(EngineUnavailableError, match=r"through no links.*Copy the bundle without links"):
            ask(tiny_bundle, engine)
        return
    assert ask(tiny_bundle, engine) == right
    (blobs / str(linked.index(DATA))).write_bytes(other_weights(tiny_bundle))
    with pytest.raises(BundleCorruptError, match="was altered"):
        ask(tiny_bundle, engine)


def test_weights_outside_initializers_are_refused(tiny_bundle: Path) -> None:
    """Engines take only initializers from memory; what a node names would be read from a file again."""
    from rim_runtime.bundle.external_data import external_locations, with_weights

    model = onnx.load(tiny_bundle / GRAPH, load_external_data=False)
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.external_data)
    constant = onnx.helper.make_node("Constant", [], ["other"], value=weight)
    model.graph.node.append(constant)
    with pytest.raises(ValueError, match="besides its initializers"):
        external_locations(model.SerializeToString())
    whole = with_weights((tiny_bundle / GRAPH).read_bytes(), (tiny_bundle / DATA).read_bytes())
    expected = onnx.load(tiny_bundle / GRAPH)
    for ours, theirs in zip(
        onnx.load_from_string(whole).graph.initializer, expected.graph.initializer, strict=True
    ):
        assert not ours.external_data
        assert numpy_helper.to_array(ours).tobytes() == numpy_helper.to_array(theirs).tobytes()
    with pytest.raises(ValueError, match="a tensor at"):
        with_weights((tiny_bundle / GRAPH).read_bytes(), b"short")


def test_what_a_certificate_shows_is_what_was_hashed(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    (tiny_bundle / "certificate.json").write_text("[]")
    with pytest.raises(BundleCorruptError, match="was altered"):
        bundle.certificate()
