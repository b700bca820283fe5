"""Bundles in zip files and among resources of packages. What is wrong with a zip is said in one line."""

from __future__ import annotations

import importlib
import io
import json
import stat
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
from rim_runtime import (
    BundleCorruptError,
    BundleNotFoundError,
    Cancellation,
    CancelledError,
    Engine,
    InputError,
    Progress,
    RimError,
    StorageError,
)
from rim_runtime.bundle import unpacking
from rim_runtime.machine.folders import unpacked_folder
from rim_runtime.machine.locks import make_and_lock

MakeBundle = Callable[..., Path]
QUESTION = "Which one?\nA: this\nB: that"
DATA = "model.fp32.onnx.data"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, in which nothing may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def zipped(tiny_bundle: Path, tmp_path: Path) -> Path:
    return zip_of(tiny_bundle, tmp_path / "tiny.zip")


@pytest.fixture
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every bundle stay unpacked, as those from 64 MB on do."""
    monkeypatch.setattr(unpacking, "HASH_EVERY_TIME", 0)


def zip_of(folder: Path, target: Path, top: str = "tiny/", leave_out: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            if path.name != leave_out:
                archive.write(path, top + path.name)
    return target


def logits(bundle: object) -> dict[str, float]:
    with Engine.load(bundle) as engine:  # type: ignore[arg-type]
        return dict(engine.ask(QUESTION).letter_logits)


def test_a_zip_answers_as_its_folder_does(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = logits(tiny_bundle)
    monkeypatch.chdir(tmp_path)
    for name, top in (("top.zip", "any name/"), ("flat.ZIP", "")):
        made = zip_of(tiny_bundle, tmp_path / name, top)
        for given in (made, name, f"./{name}"):
            assert logits(given) == expected
    monkeypatch.setenv("RIM_EDGE_BUNDLE", "top.zip")
    assert logits(None) == expected


def test_resources_of_a_zipped_package(
    tiny_bundle: Path, zipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = tmp_path / "application.zip"
    zip_of(tiny_bundle, application, "an_app/model/")
    with zipfile.ZipFile(application, "a") as archive:
        archive.writestr("an_app/__init__.py", "")
        archive.write(zipped, "an_app/tiny.zip")
    monkeypatch.syspath_prepend(str(application))
    package = files(importlib.import_module("an_app"))
    try:
        for resource in (package / "model", package / "tiny.zip"):
            assert not isinstance(resource, Path)
            assert logits(resource) == logits(tiny_bundle)
        for missing in (package / "nothing", package / "__init__.py", package):
            with pytest.raises(BundleNotFoundError, match=r"application\.zip/an_app"):
                Engine.load(missing)
    finally:
        del sys.modules["an_app"]
    with pytest.raises(InputError, match="The bundle is a int, expected a name, a path or a resource"):
        Engine.load(5)  # type: ignore[arg-type]


class OneWay(io.BytesIO):
    """Can be read once from its start, which is all that resources promise."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("seek")


@dataclass(frozen=True)
class Resource:
    content: bytes
    name: str = "tiny.zip"

    def joinpath(self, *_: str) -> Resource:
        raise NotADirectoryError

    def is_dir(self) -> bool:
        return False

    def is_file(self) -> bool:
        return True

    def open(self, mode: str) -> OneWay:
        assert mode == "rb"
        return OneWay(self.content)


def test_a_zip_among_resources_is_read_once(zipped: Path, tiny_bundle: Path) -> None:
    assert logits(Resource(zipped.read_bytes())) == logits(tiny_bundle)


def test_a_zip_in_a_damaged_zip(zipped: Path, tmp_path: Path) -> None:
    application = tmp_path / "application.zip"
    with zipfile.ZipFile(application, "w") as archive:
        archive.write(zipped, "tiny.zip")
    whole, inner = application.read_bytes(), zipped.read_bytes()
    application.write_bytes(whole.replace(inner, bytes(len(inner))))
    with pytest.raises(BundleCorruptError, match=r"application\.zip/tiny\.zip cannot be read \(Bad CRC-32"):
        Engine.load(zipfile.Path(application, "tiny.zip"))


def test_a_large_bundle_stays_unpacked_for_its_user_alone(
    all_are_large: None, zipped: Path, tiny_bundle: Path
) -> None:
    assert logits(zipped) == logits(tiny_bundle)
    (kept,) = unpacked_folder().iterdir()
    assert stat.S_IMODE(unpacked_folder().parent.stat().st_mode) == 0o700
    first = (kept / DATA).stat().st_ino
    assert logits(zipped) == logits(tiny_bundle)
    assert (kept / DATA).stat().st_ino == first, "it was unpacked once"
    (kept / DATA).unlink()
    assert logits(zipped) == logits(tiny_bundle), "and again where something is missing"


def test_unpacked_bundles_stay_within_a_limit(
    all_are_large: None, make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1)
    with caplog.at_level("INFO", logger="rim_runtime"):
        for name in ("one", "two"):
            logits(zip_of(make_bundle(name), tmp_path / f"{name}.zip"))
    assert len(list(unpacked_folder().iterdir())) == 1
    assert "unpacked " in caplog.text
    assert "its folder may hold 1 bytes" in caplog.text


def test_another_process_that_unpacks_the_same_is_waited_for(all_are_large: None, zipped: Path) -> None:
    logits(zipped)
    (kept,) = unpacked_folder().iterdir()
    kept.rename(kept.with_name("aside"))
    lock = make_and_lock(kept.with_name(f".{kept.name}.rim-edge-unfinished"))
    assert lock
    said: list[str] = []

    def progress(step: Progress) -> None:
        if step.text.startswith("waiting"):
            kept.with_name("aside").rename(kept)
            said.append(step.text)

    Engine.load(zipped, progress=progress).close()
    lock.release()
    assert said == [f"waiting for another process that unpacks {zipped}"]


@pytest.mark.parametrize("large", [False, True])
def test_without_a_place_to_unpack_it_says_what_to_do(
    zipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr(unpacking, "HASH_EVERY_TIME", 0)
        (tmp_path / "file").touch()
        monkeypatch.setenv("RIM_EDGE_HOME", str(tmp_path / "file"))
        with pytest.raises(StorageError, match="Cannot write") as refused:
            Engine.load(zipped)
        assert f"unpack {zipped} yourself" in refused.value.__notes__[0]
        return
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nothing"))
    with pytest.raises(StorageError, match="Set TMPDIR to one that can, or unpack it yourself"):
        Engine.load(zipped)


def test_what_others_could_have_written_is_not_used(all_are_large: None, zipped: Path) -> None:
    logits(zipped)
    (kept,) = unpacked_folder().iterdir()
    kept.chmod(0o777)
    with pytest.raises(StorageError, match="others could have written"):
        Engine.load(zipped)


@pytest.mark.parametrize("large", [False, True])
def test_unpacking_ends_when_it_is_cancelled(zipped: Path, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    if large:
        monkeypatch.setattr(unpacking, "HASH_EVERY_TIME", 0)
    cancel, steps = Cancellation(), []

    def progress(step: Progress) -> None:
        steps.append(step)
        cancel.cancel()

    with pytest.raises(CancelledError):
        Engine.load(zipped, progress=progress, cancel=cancel)
    assert [step.text.split()[0] for step in steps] == ["unpacking"]
    assert not large or list(unpacked_folder().iterdir()) == []


def entry(name: str, kind: int = stat.S_IFREG) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = (kind | 0o644) << 16
    return made


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("../evil", stat.S_IFREG, "holds '../evil', which leads out of it"),
        ("/evil", stat.S_IFREG, "holds '/evil', which leads out of it"),
        ("C:/evil", stat.S_IFREG, "holds 'C:/evil', which leads out of it"),
        ("tiny\\evil", stat.S_IFREG, r"holds 'tiny\\evil', which leads out of it or has no plain name"),
        ("tiny/../../e\x1b[31m", stat.S_IFREG, r"holds 'tiny/../../e\\x1b[31m', which leads out of it"),
        ("tiny/link", stat.S_IFLNK, "holds 'tiny/link', a link"),
        ("tiny/pipe", stat.S_IFIFO, "holds 'tiny/pipe', which is neither a file nor a folder"),
        ("tiny/LICENSE", stat.S_IFREG, "holds 'tiny/LICENSE' twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_that_no_bundle_has(zipped: Path, name: str, kind: int, told: str) -> None:
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr(entry(name, kind), "evil")
    refused(zipped, BundleCorruptError, told)


def test_a_size_that_the_manifest_does_not_have_is_refused_before_unpacking(
    zipped: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    bomb = zip_of(tiny_bundle, tmp_path / "bomb.zip", leave_out="LICENSE")
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny/LICENSE", bytes(50_000_000))
    steps: list[Progress] = []
    with pytest.raises(BundleCorruptError, match="LICENSE would have 50,000,000 bytes, its manifest says 8"):
        Engine.load(bomb, progress=steps.append)
    assert steps == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_resource_says_no_size_and_is_read_no_further_than_its_manifest_says(
    zipped: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    longer = zip_of(tiny_bundle, tmp_path / "longer.zip", leave_out="LICENSE")
    with zipfile.ZipFile(longer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny/LICENSE", bytes(50_000_000))
    with pytest.raises(BundleCorruptError, match="tiny/LICENSE has more than 8 bytes, its manifest says 8"):
        Engine.load(zipfile.Path(longer, "tiny/"))
    assert logits(zipfile.Path(zipped, "tiny/")) == logits(tiny_bundle)


def test_a_manifest_beyond_reason(zipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rim_runtime.bundle.packed._LONGEST_MANIFEST", 100)
    refused(zipped, BundleCorruptError, "manifest.json has over 100 bytes")


def test_damaged_zips(zipped: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    whole = zipped.read_bytes()
    directory = whole.index(b"PK\x01\x02")
    damages = {
        "cut off": (whole[: len(whole) // 2], "cannot be read as a zip file"),
        "no zip": (b"A letter.", "cannot be read as a zip file"),
        "empty": (b"", "cannot be read as a zip file"),
        "encrypted": (whole[: directory + 8] + b"\1" + whole[directory + 9 :], "which is encrypted"),
    }
    for content, told in damages.values():
        zipped.write_bytes(content)
        refused(zipped, BundleCorruptError, told)
    with zipfile.ZipFile(zipped, "w") as archive:  # stored, so that the content can be found
        for path in tiny_bundle.iterdir():
            archive.write(path, path.name)
    stored, data = zipped.read_bytes(), (tiny_bundle / DATA).read_bytes()
    assert stored.count(data) == 1
    zipped.write_bytes(stored.replace(data, bytes(len(data))))
    refused(zipped, BundleCorruptError, f"tiny.zip/{DATA} cannot be read (Bad CRC-32")
    zip_of(tiny_bundle, zipped, leave_out=DATA)
    refused(zipped, BundleCorruptError, f"holds no {DATA}, its manifest lists it")
    zip_of(tiny_bundle, zipped, leave_out="manifest.json")
    refused(zipped, BundleNotFoundError, "holds no bundle: no manifest.json")
    (tiny_bundle / DATA).write_bytes(bytes(len(data)))
    refused(zip_of(tiny_bundle, zipped), BundleCorruptError, f"tiny.zip/{DATA} was altered")


def test_two_bundles_in_one_zip(zipped: Path, tiny_bundle: Path) -> None:
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.write(tiny_bundle / "manifest.json", "other/manifest.json")
    refused(zipped, BundleNotFoundError, "holds 2 bundles (other, tiny), expected one")


def test_errors_after_unpacking_name_the_zip(tiny_bundle: Path, tmp_path: Path, make_bundle: MakeBundle) -> None:
    wrong = zip_of(make_bundle("wrong", golden_letter="C"), tmp_path / "wrong.zip")
    with pytest.raises(RimError, match="golden questions were answered differently") as failed:
        Engine.load(wrong)
    assert f"The bundle was unpacked from {wrong}" in failed.value.__notes__[0]


def refused(bundle: Path, kind: type[RimError], told: str) -> None:
    with pytest.raises(kind) as caught:
        Engine.load(bundle)
    assert told in str(caught.value)
    assert "\x1b" not in str(caught.value)
    json.dumps(caught.value.to_json())
