"""`rim-edge bundle sbom`: valid by CycloneDX's own schema, true to the bundle, and the same each time."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from rim_runtime.bundle.folder import CERTIFICATE, Bundle, file_entries, save_manifest

from tests.cli.test_bundle import with_plan as with_plan
from tests.places import DEMO_FOLDER

Run = Callable[..., Any]
OFFICIAL = JsonStrictValidator(SchemaVersion.V1_6)


def assert_valid(text: str) -> None:
    """Assert that a bill is as the official schema says, formats included."""
    fault = OFFICIAL.validate_str(text)
    assert fault is None, fault


def components(bill: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all components, nested ones too."""
    left = [*bill["components"], bill["metadata"]["component"], *bill["metadata"]["tools"]["components"]]
    left += [component for formula in bill["formulation"] for component in formula["components"]]
    while left:
        one = left.pop()
        yield one
        left += one.get("components", [])


@pytest.fixture
def demo_bill(run: Run) -> dict[str, Any]:
    done = run("bundle", "sbom", str(DEMO_FOLDER))
    assert done.code == 0, done.err
    assert_valid(done.out)
    bill: dict[str, Any] = json.loads(done.out)
    return bill


def test_the_schema_that_it_is_checked_by_refuses(demo_bill: dict[str, Any]) -> None:
    for break_it in (
        lambda bill: bill["metadata"]["component"]["modelCard"].update(more=1),
        lambda bill: bill["components"][2]["hashes"][0].update(content="x"),
        lambda bill: bill["metadata"]["component"]["licenses"][0]["license"].update(id="Mine-1.0"),
        lambda bill: bill["components"].append(bill["components"][0]),
    ):
        broken = copy.deepcopy(demo_bill)
        break_it(broken)
        assert OFFICIAL.validate_str(json.dumps(broken)) is not None


def test_it_holds_what_the_bundle_is_made_of(demo_bill: dict[str, Any]) -> None:
    manifest = Bundle.load(DEMO_FOLDER).manifest
    found = {one["bom-ref"]: one for one in components(demo_bill)}
    assert len(found) == len(list(components(demo_bill))), "each reference once"
    for name in manifest.files:
        content = (DEMO_FOLDER / name).read_bytes()
        assert found[f"file:{name}"]["hashes"] == [
            {"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}
        ]
    about = demo_bill["metadata"]["component"]
    assert (about["name"], about["version"]) == ("demo", manifest.sha256)
    assert about["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    made = {one["name"]: one["version"] for one in demo_bill["formulation"][0]["components"]}
    assert made == dict(manifest.tools)
    for package in ("numpy", "tokenizers", "onnxruntime"):
        assert found[f"runs-on:{package}"]["version"] == metadata.version(package)
    assert found["runs-on:numpy"]["purl"] == f"pkg:pypi/numpy@{metadata.version('numpy')}"
    config = (DEMO_FOLDER.parent / "checkpoint" / "config.json").read_bytes()
    assert found["checkpoint:config.json"]["hashes"][0]["content"] == hashlib.sha256(config).hexdigest()
    assert {"name": "rim-edge:precision", "value": "int8"} in found["variant:int8"]["properties"]
    for one in demo_bill["dependencies"]:
        assert {one["ref"], *one["dependsOn"]} <= set(found)
    needs = {one["ref"]: one["dependsOn"] for one in demo_bill["dependencies"]}
    assert needs["variant:int8"] == [
        "file:model.int8.onnx", "file:model.int8.onnx.data", "file:model.int8.trace.onnx"
    ]  # fmt: skip


def test_the_card_has_the_certificates_figures(demo_bill: dict[str, Any]) -> None:
    card = demo_bill["metadata"]["component"]["modelCard"]
    (entry,) = json.loads((DEMO_FOLDER / CERTIFICATE).read_text(encoding="utf-8"))["variants"]
    metrics = {one["type"]: one for one in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics["accuracy"]["value"] == str(entry["accuracy"])
    assert float(metrics["accuracy"]["confidenceInterval"]["lowerBound"]) == pytest.approx(0.975, abs=0.001)
    differing = metrics["share of letters that differ from the checkpoint's"]
    assert float(differing["value"]) == entry["flips"] / entry["n"]
    assert differing["confidenceInterval"]["upperBound"] == str(entry["flips_interval"][1])
    assert "variant int8, 222 questions of questions.jsonl" in differing["slice"]
    assert {one["name"] for one in card["modelParameters"]["datasets"]} == {"questions.jsonl", "calibration.jsonl"}
    assert card["modelParameters"]["modelArchitecture"] == "qwen3"


def test_another_library_reads_it(demo_bill: dict[str, Any]) -> None:
    """Of the parts that it knows: no model cards."""
    del demo_bill["metadata"]["component"]["modelCard"]
    read = Bom.from_json(demo_bill)  # type: ignore[attr-defined]
    assert str(read.metadata.component.name) == "demo"
    assert {str(one.name) for one in read.components} >= {"tokenizer.json", "numpy"}


def test_the_same_bundle_gives_the_same_bytes(run: Run, tiny_bundle: Path, monkeypatch: Any) -> None:
    first = run("bundle", "sbom", str(tiny_bundle)).out
    assert_valid(first)
    assert run("bundle", "sbom", str(tiny_bundle)).out == first
    assert "timestamp" not in json.loads(first)["metadata"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1764374400")
    dated = run("bundle", "sbom", str(tiny_bundle)).out
    assert_valid(dated)
    assert json.loads(dated)["metadata"]["timestamp"] == "2025-11-29T00:00:00Z"
    assert json.loads(dated)["serialNumber"] != json.loads(first)["serialNumber"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    failed = run("bundle", "sbom", str(tiny_bundle))
    assert (failed.code, failed.out) == (2, "")
    assert "SOURCE_DATE_EPOCH is 'today', expected seconds since 1970" in failed.err


def test_it_is_written_to_a_file_once(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "bom.json"
    done = run("bundle", "sbom", str(tiny_bundle), "--save", str(file))
    assert f"tiny: its bill of materials is in {file} (CycloneDX 1.6, " in done.out
    assert file.read_text(encoding="utf-8") == run("bundle", "sbom", str(tiny_bundle)).out
    again = run("bundle", "sbom", str(tiny_bundle), "--save", str(file), "--json")
    assert (again.code, again.json["error"]["kind"]) == (2, "target-exists")


def test_a_zip_and_a_folder_give_the_same(run: Run, tiny_bundle: Path, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "tiny")
    assert run("bundle", "sbom", packed).out == run("bundle", "sbom", str(tiny_bundle)).out


def test_plans_are_listed(run: Run, with_plan: Path) -> None:
    shown = run("bundle", "sbom", str(with_plan)).out
    assert_valid(shown)
    (plan,) = (one for one in json.loads(shown)["components"] if one["name"] == "model.plan")
    assert plan["description"] == "A TensorRT plan built from the graph"


@pytest.mark.parametrize(
    ("card", "licences"),
    [
        ("---\nlicense: mit\n---\n", [{"license": {"id": "MIT"}}]),
        ("---\nlicense: 'llama3.2'  # theirs\ntags: [x]\n---\n", [{"license": {"name": "llama3.2"}}]),
        ("---\ntags: [x]\n---\nlicense: mit\n", None),
        ("unknown\n", None),
    ],
)
def test_a_licence_is_what_the_cards_header_says(run: Run, tiny_bundle: Path, card: str, licences: object) -> None:
    manifest = Bundle.load(tiny_bundle).manifest
    (tiny_bundle / "MODEL_CARD.md").write_text(card)
    save_manifest(tiny_bundle, dataclasses.replace(manifest, files=file_entries(tiny_bundle)))
    shown = run("bundle", "sbom", str(tiny_bundle)).out
    assert_valid(shown)
    assert json.loads(shown)["metadata"]["component"].get("licenses") == licences


@pytest.mark.parametrize(
    "certificate",
    [
        {},
        {"variants": "none", "checkpoint_files": {"x": "y"}, "questions": 7},
        {"variants": [7, {"accuracy": "high", "labelled": -1, "flips": 1, "n": 0, "recipe": {"calibration": 1}}]},
    ],
)
def test_a_certificate_in_another_form_is_left_out(run: Run, tiny_bundle: Path, certificate: object) -> None:
    manifest = Bundle.load(tiny_bundle).manifest
    (tiny_bundle / CERTIFICATE).write_text(json.dumps(certificate))
    save_manifest(tiny_bundle, dataclasses.replace(manifest, files=file_entries(tiny_bundle)))
    shown = run("bundle", "sbom", str(tiny_bundle))
    assert shown.code == 0, shown.err
    assert_valid(shown.out)


def test_an_altered_bundle_has_none(run: Run, tiny_bundle: Path) -> None:
    (tiny_bundle / CERTIFICATE).write_text("[]\n")
    failed = run("bundle", "sbom", str(tiny_bundle))
    assert (failed.code, failed.out) == (3, "")
