"""`rim-edge bundle`, and which bundle a command means."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Bundle, BundleNotFoundError
from rim_runtime.bundle.folder import file_entries, save_manifest
from rim_runtime.bundle.manifest import FileEntry, Plan, Profile
from rim_runtime.bundle.names import Origin, resolve_bundle
from rim_runtime.bundle.trust import is_trusted
from rim_runtime.bundle.widened import WIDENED

from tests.places import DEMO_PACKAGE

Run = Callable[..., Any]
MakeBundle = Callable[..., Path]


@pytest.fixture
def mine(make_bundle: MakeBundle, own_home: Path) -> Path:
    """A bundle in the user's folder."""
    return make_bundle("mine", own_home / "bundles")


def test_list_is_the_contract(run: Run, demo_bundle: Path, mine: Path) -> None:
    body = run("bundle", "list", "--json").json
    size = sum(path.stat().st_size for path in mine.iterdir() if path.name != "manifest.json")
    told = {"precisions": ["fp32"], "bytes": size, "written": date.today().isoformat(), "trouble": None}
    assert body["schema_version"] == 1
    assert body["bundles"] == [
        {"name": "demo", "path": str(demo_bundle), "default": True, "missing": False} | told,
        {"name": "mine", "path": str(mine), "default": False, "missing": False} | told,
    ]
    shown = run("bundle", "list").out
    assert f"● demo  fp32  0.0 MB  {date.today().isoformat()}  {demo_bundle}\n" in shown


def test_what_cannot_be_read_hides_no_other_bundle(
    run: Run, demo_bundle: Path, mine: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine.parent / "broken").mkdir()
    (mine.parent / "broken" / "manifest.json").write_text("{")
    (mine.parent / "closed").mkdir()
    is_file = Path.is_file

    def looked_at(path: Path) -> bool:
        if path.parent.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", looked_at)
    (own_home / "state.json").write_text("{")
    listed = run("bundle", "list", "--json")
    troubles = {entry["name"]: entry["trouble"] for entry in listed.json["bundles"]}
    assert list(troubles) == ["demo", "broken", "closed", "mine"]
    assert troubles["demo"] is troubles["mine"] is None
    assert "manifest.json" in troubles["broken"]
    assert "ermission" in troubles["closed"]
    assert "state.json cannot be read" in listed.err, "and so nobody knows the default"
    shown = run("bundle", "list")
    assert shown.code == 0
    assert shown.out.count("✗ ") == 2


def test_a_default_that_is_gone_is_marked(run: Run, demo_bundle: Path, mine: Path) -> None:
    run("bundle", "use", "mine")
    mine.rename(mine.parent / "renamed")
    shown = run("bundle", "list")
    assert "● mine" in shown.out
    assert "✗ it is gone" in shown.out
    assert "note: There is no bundle 'mine'" in shown.err


def test_halves_and_strangers_are_not_listed(run: Run, demo_bundle: Path, mine: Path) -> None:
    (mine.parent / ".new.x1").mkdir()
    (mine.parent / "empty").mkdir()
    assert [b["name"] for b in run("bundle", "list", "--json").json["bundles"]] == ["demo", "mine"]


def test_use_changes_what_ask_uses(run: Run, demo_bundle: Path, mine: Path, tiny_bundle: Path) -> None:
    assert run("bundle", "use", "mine").out == "'rim-edge ask' now uses mine.\n"
    answered = run("ask", "Why?", "--json")
    assert (answered.json["bundle"], answered.err) == ("mine", "")
    chosen = run("bundle", "use", str(tiny_bundle), "--json").json
    assert chosen == {"schema_version": 1, "name": str(tiny_bundle), "path": str(tiny_bundle), "default": True}
    assert run("ask", "Why?", "--json").json["bundle"] == "tiny"
    assert [b["default"] for b in run("bundle", "list", "--json").json["bundles"]] == [False, False, True]
    assert run("bundle", "use", "demo").code == 0
    assert run("ask", "Why?", "--json").json["bundle"] == "demo-bundle"


def test_use_refuses_what_is_no_bundle(run: Run, demo_bundle: Path, tmp_path: Path, own_home: Path) -> None:
    failed = run("bundle", "use", "nothing")
    assert failed.code == 2
    assert "There is no bundle 'nothing', neither a folder nor one of: demo." in failed.err
    assert run("bundle", "use", str(tmp_path)).code == 2
    assert not (own_home / "state.json").exists()


def test_the_order_of_choosing(
    demo_bundle: Path, mine: Path, tiny_bundle: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (resolve_bundle().path, resolve_bundle().origin) == (demo_bundle, Origin.DEMO)
    run("bundle", "use", "mine")
    assert (resolve_bundle().path, resolve_bundle().origin) == (mine, Origin.CHOSEN)
    monkeypatch.setenv("RIM_EDGE_BUNDLE", str(tiny_bundle))
    assert (resolve_bundle().path, resolve_bundle().origin) == (tiny_bundle, Origin.VARIABLE)
    assert (resolve_bundle("demo").path, resolve_bundle("demo").origin) == (demo_bundle, Origin.EXPLICIT)


def test_a_folder_here_named_like_a_bundle(
    demo_bundle: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "mine").mkdir(parents=True)
    monkeypatch.chdir(here)
    assert resolve_bundle("mine").path == mine
    assert resolve_bundle("./mine").path == Path("mine")
    mine.rename(here / "other")
    assert resolve_bundle("other").path == Path("other")


def test_a_default_that_is_gone_is_an_error(run: Run, demo_bundle: Path, mine: Path) -> None:
    run("bundle", "use", "mine")
    mine.rename(mine.parent / "renamed")
    with pytest.raises(BundleNotFoundError, match="the chosen default is 'mine'"):
        resolve_bundle()
    failed = run("ask", "Why?")
    assert failed.code == 2
    assert (
        "neither a folder nor one of: demo, renamed. Choose one of them (rim-edge bundle use NAME)" in failed.err
    )
    *_, gone = run("bundle", "list", "--json").json["bundles"]
    assert gone["missing"] is gone["default"] is True
    assert (gone["name"], gone["path"], gone["written"]) == ("mine", str(mine), None)


def test_a_variable_that_names_nothing_is_an_error(
    run: Run, demo_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIM_EDGE_BUNDLE", "gone")
    assert "RIM_EDGE_BUNDLE names 'gone'" in run("ask", "Why?").err


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 1}', "[" * 200_000], ids=range(4))
def test_a_damaged_state_file_says_how_to_mend_it(
    run: Run, demo_bundle: Path, mine: Path, own_home: Path, content: str
) -> None:
    (own_home / "state.json").write_text(content)
    failed = run("ask", "Why?")
    assert failed.code == 2
    assert "state.json cannot be read" in failed.err
    assert "rim-edge bundle use demo" in failed.err
    assert run("bundle", "use", "mine").code == 0
    assert run("ask", "Why?", "-r").code == 0


def test_info(run: Run, tiny_bundle: Path) -> None:
    body = run("bundle", "info", str(tiny_bundle), "--json").json
    manifest = Bundle.load(tiny_bundle).manifest
    assert body["schema_version"] == 1
    assert (body["name"], body["path"]) == ("tiny", str(tiny_bundle))
    assert (body["blocks"], body["memory_tokens"], body["letters"]) == (8, 2, "ABCDEFGHIJ")
    assert body["manifest_sha256"] == manifest.sha256
    assert body["manifest_sha256"] == json.loads((tiny_bundle / "manifest.json").read_text())["manifest_sha256"]
    assert body["variants"][0]["precision"] == "fp32"
    shown = run("bundle", "info", str(tiny_bundle)).out
    assert "variants  fp32 (letters, " in shown
    assert "at most 512 tokens" in shown


CERTIFICATE = {
    "questions": "medical.jsonl",
    "questions_sha256": "0123456789abcdef",
    "blocks": 8,
    "variants": [
        {
            "variant": "fp32",
            "precision": "fp32",
            "n": 64,
            "flips": 2,
            "flips_interval": [0.0038, 0.1084],
            "labelled": 64,
            "accuracy": 0.3125,
            "reference_accuracy": 0.328125,
        }
    ],
}


def test_info_shows_how_right_it_is_on_whose_questions(run: Run, tiny_bundle: Path) -> None:
    shown = run("bundle", "info", str(tiny_bundle)).out
    assert "proof     unknown\naccuracy  unknown\nquestions unknown (SHA-256 unknown)\n" in shown
    manifest = Bundle.load(tiny_bundle).manifest
    (tiny_bundle / "certificate.json").write_text(json.dumps(CERTIFICATE))
    save_manifest(tiny_bundle, dataclasses.replace(manifest, files=file_entries(tiny_bundle)))
    shown = run("bundle", "info", str(tiny_bundle)).out
    assert (
        "proof     fp32 like the checkpoint on 62 of 64 questions "
        "(95 % interval: 0.4 to 10.8 % of the letters change)\n"
        "accuracy  fp32 31.2 % (95 % interval: 21.2 to 43.4 %) of 64 questions; the checkpoint 32.8 %\n"
        "questions medical.jsonl (SHA-256 0123456789ab…)\n"
    ) in shown


def test_info_does_not_believe_an_altered_certificate(run: Run, tiny_bundle: Path) -> None:
    (tiny_bundle / "certificate.json").write_text("[]\n")
    failed = run("bundle", "info", str(tiny_bundle))
    assert (failed.code, failed.out) == (3, "")
    assert "certificate.json was altered" in failed.err


def test_info_says_what_was_kept_wider(run: Run, tiny_bundle: Path) -> None:
    """By product; bundles of before say it by layer, and can still be read."""
    manifest = Bundle.load(tiny_bundle).manifest
    (variant,) = manifest.variants
    assert "\nwider " not in run("bundle", "info", str(tiny_bundle)).out
    parts = {"embedding table": "fp32", "layers.1.mlp.down_proj": "fp32"}
    save_manifest(tiny_bundle, dataclasses.replace(manifest, optional={WIDENED: {variant.name: parts}}))
    body = run("bundle", "info", str(tiny_bundle), "--json").json
    assert body["variants"][0]["widened"] == parts
    shown = run("bundle", "info", str(tiny_bundle)).out
    assert "\nwider     fp32: the embedding table and layers.1.mlp.down_proj in fp32\n" in shown
    old = dataclasses.replace(variant, wide_layers=(3, 7))
    save_manifest(tiny_bundle, dataclasses.replace(manifest, variants=(old,)))
    assert "\nwider     fp32: layers 3, 7 in fp32\n" in run("bundle", "info", str(tiny_bundle)).out


def test_verify(run: Run, tiny_bundle: Path) -> None:
    (tiny_bundle / "mine.txt").write_text("x")
    body = run("bundle", "verify", str(tiny_bundle), "--json").json
    assert (body["ok"], body["unlisted"]) == (True, ["mine.txt"])
    assert "tokenizer.json" in body["files"]
    shown = run("bundle", "verify", str(tiny_bundle))
    assert "files are whole" in shown.out
    assert "Not part of the bundle, and never read: mine.txt" in shown.out
    (tiny_bundle / "LICENSE").write_text("unkn0wn\n")
    failed = run("bundle", "verify", str(tiny_bundle))
    assert (failed.code, failed.out) == (3, "")
    assert "LICENSE was altered" in failed.err


@pytest.fixture
def with_plan(tiny_bundle: Path) -> Path:
    """A bundle that came with a TensorRT plan."""
    manifest, content = Bundle.load(tiny_bundle).manifest, b"code"
    (tiny_bundle / "model.plan").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    plan = Plan(
        "model.plan",
        sha256,
        len(content),
        "fp32",
        manifest.graph_sha256(manifest.variants[0]),
        "tensorrt-rtx",
        "1.7.1.116",
        "linux-x86_64",
        ("sm_89", "sm_120"),
        (Profile(1, 512, 8),),
    )
    files = {**manifest.files, plan.file: FileEntry(len(content), sha256)}
    save_manifest(tiny_bundle, dataclasses.replace(manifest, files=files, plans=(plan,)))
    return tiny_bundle


def test_info_lists_plans(run: Run, with_plan: Path) -> None:
    body = run("bundle", "info", str(with_plan), "--json").json
    (plan,) = body["plans"]
    wanted = {"file": "model.plan", "sha256": hashlib.sha256(b"code").hexdigest(), "bytes": 4}
    assert {key: plan[key] for key in wanted} == wanted
    assert plan["targets"] == ["sm_89", "sm_120"]
    assert body["trusted"] is False
    shown = run("bundle", "info", str(with_plan)).out
    assert "plans     model.plan (sm_89, sm_120; tensorrt-rtx 1.7.1.116; 0.0 MB)\n" in shown
    assert f"trust     not trusted here: rim-edge bundle trust {with_plan}\n" in shown


def test_trust_and_its_end(run: Run, with_plan: Path, own_home: Path) -> None:
    bundle = Bundle.load(with_plan)
    trusted = run("bundle", "trust", str(with_plan))
    assert trusted.out == "tiny: its plans may be loaded here, as long as nothing in the bundle changes.\n"
    assert is_trusted(bundle.manifest)
    assert "trust     trusted here\n" in run("bundle", "info", str(with_plan)).out
    assert json.loads((own_home / "trusted.json").read_text())["bundles"] == {bundle.manifest.sha256: "tiny"}
    ended = run("bundle", "untrust", str(with_plan), "--json").json
    assert ended == {
        "schema_version": 1,
        "name": "tiny",
        "path": str(with_plan),
        "manifest_sha256": bundle.manifest.sha256,
        "trusted": False,
        "plans": ["model.plan"],
    }
    assert not is_trusted(bundle.manifest)


def test_an_altered_plan_is_not_trusted(run: Run, with_plan: Path) -> None:
    (with_plan / "model.plan").write_bytes(b"evil")
    failed = run("bundle", "trust", str(with_plan))
    assert failed.code == 3
    assert "model.plan was altered" in failed.err
    assert not is_trusted(Bundle.load(with_plan).manifest)


def test_nothing_to_trust(run: Run, tiny_bundle: Path, own_home: Path) -> None:
    assert run("bundle", "trust", str(tiny_bundle)).out == "tiny: it has no TensorRT plans.\n"
    assert not (own_home / "trusted.json").exists()
    assert run("bundle", "info", str(tiny_bundle), "--json").json["plans"] == []


def test_plans_that_were_built_here_are_trusted(
    run: Run, with_plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rim_export
    from rim_export.certification.certificate import Certificate

    manifest = Bundle.load(with_plan).manifest
    certificate = Certificate("none", 8, 0.02, (), golden_sha256=64 * "0")
    made = rim_export.ExportReport(with_plan, manifest, certificate, (), 1.0)
    monkeypatch.setattr(rim_export, "export", lambda *_, **__: made)
    exported = run("export", "--model", str(DEMO_PACKAGE / "checkpoint"), "-o", str(tmp_path / "new"), "--json")
    assert exported.code == 0, exported.err
    assert is_trusted(manifest)


def test_a_bundle_of_a_later_release_says_so(run: Run, tiny_bundle: Path) -> None:
    manifest = tiny_bundle / "manifest.json"
    body = json.loads(manifest.read_text()) | {"schema_version": 2, "tools": {"rim-edge": "9.7.3"}, "new": {}}
    manifest.write_text(json.dumps(body))
    for command in (("ask", "Why?", "-b"), ("bundle", "info"), ("bundle", "verify"), ("prompt", "Why?", "-b")):
        failed = run(*command, str(tiny_bundle))
        assert failed.code == 3
        assert "has schema version 2 (made by rim-edge 9.7.3), this release reads 1 (rim-edge" in failed.err
        assert "Upgrade rim-edge" in failed.err
