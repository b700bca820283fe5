"""The model card of a bundle as CycloneDX has it: what the model takes and gives, and the certificate's figures.

The certificate is the bundle's own word, so what is not in a form that is ours is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rim_runtime.bundle.manifest import Manifest

from rim_edge.evaluation.scores import Score

_METRICS = {
    "agreement": "agreement with the checkpoint's letters",
    "mean_kl": "mean KL divergence from the checkpoint's letter probabilities, nats",
    "worst_margin": "smallest lead of the checkpoint's letter, logits",
    "reference_accuracy": "accuracy of the checkpoint",
}
"""Fields of a certificate's variant, besides its accuracy, to what they measure."""


def model_card(manifest: Manifest, certificate: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object `modelCard` of CycloneDX 1.6."""
    metrics = [metric for entry in _entries(certificate) for metric in _metrics(entry, certificate)]
    return {
        "modelParameters": {
            "task": "multiple-choice question answering",
            "architectureFamily": "transformer",
            "modelArchitecture": manifest.source.architecture,
            "datasets": list(_datasets(certificate)),
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "considerations": {
            "technicalLimitations": [
                f"Questions of more than {manifest.limits.question_tokens} tokens are refused, never cut.",
                "Its percentages are not calibrated.",
                "The certificate compares it with its checkpoint; it does not say that the checkpoint is right.",
            ]
        },
    }


def _entries(certificate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = certificate.get("variants")
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _metrics(entry: Mapping[str, Any], certificate: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a certificate says of one variant; values are texts, as the standard wants them."""
    asked = f"variant {entry.get('variant')}, {entry.get('n')} questions of {certificate.get('questions')}"
    accuracy, labelled = entry.get("accuracy"), entry.get("labelled")
    if _is_number(accuracy) and type(labelled) is int and labelled > 0:
        low, high = Score(round(float(accuracy) * labelled), labelled).interval  # type: ignore[arg-type]
        yield _metric("accuracy", accuracy, f"{asked}, {labelled} labelled", (low, high))
    flips, n = entry.get("flips"), entry.get("n")
    if type(flips) is int and type(n) is int and n > 0:
        interval = _interval(entry.get("flips_interval"))
        yield _metric("share of letters that differ from the checkpoint's", flips / n, asked, interval)
    for name, meaning in _METRICS.items():
        if _is_number(value := entry.get(name)):
            yield _metric(meaning, value, asked, None)


def _metric(kind: str, value: object, asked: str, interval: tuple[float, float] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"type": kind, "value": str(value), "slice": asked}
    if interval:
        low, high = interval
        found["confidenceInterval"] = {"lowerBound": str(low), "upperBound": str(high)}
    return found


def _interval(value: object) -> tuple[float, float] | None:
    """Return an interval as a certificate has it; None for what is none."""
    if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
        return float(value[0]), float(value[1])
    return None


def _datasets(certificate: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the sets of questions by name and hash: they are not part of a bundle."""
    uses = {"questions": "it was certified on", "golden": "the golden questions were chosen from"}
    for key, use in uses.items():
        if isinstance(name := certificate.get(key), str):
            yield _dataset(name, certificate.get(f"{key}_sha256"), f"Questions that {use}.")
    recipes = (entry.get("recipe") for entry in _entries(certificate))
    calibrations = [one.get("calibration") for one in recipes if isinstance(one, dict)]
    seen = {one["name"]: one.get("sha256") for one in calibrations if isinstance(one, dict) and "name" in one}
    for name, sha256 in seen.items():
        yield _dataset(str(name), sha256, "Questions that the quantization was calibrated on.")


def _dataset(name: str, sha256: object, description: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "dataset", "name": name, "description": description}
    if isinstance(sha256, str):
        found["contents"] = {"properties": [{"name": "sha256", "value": sha256}]}
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
