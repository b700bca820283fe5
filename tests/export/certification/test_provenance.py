"""A certificate says how its variants came about: a recipe with every option, and files by their hashes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from rim_export.certification.provenance import describe_recipe
from rim_export.question_sets import CalibrationSet
from rim_export.recipes.int8 import INT8
from rim_export.recipes.recipe import Recipe
from rim_export.recipes.rotated import rotated
from rim_export.recipes.tables import INT8_TABLE
from rim_export.settings import Activations, ExportOptions, RangeMethod, Rounding
from rim_export.weights.model_weights import Smoothing
from rim_export.weights.rotation import Basis, Rotation, Turn
from rim_runtime.bundle.manifest import Compute, Dialect, Precision

MEASURED = CalibrationSet("own.jsonl", ("a", "b"), ((1,), (2,)), (), "ab" * 32)
ON = {"calibration": {"name": "own.jsonl", "sha256": "ab" * 32, "questions": 2, "answers": 0}}
GPTQ = {"rounding": "gptq", "rounding_tokens": 2048}


def recipe(precision: Precision) -> Recipe:
    return Recipe(precision, Dialect.PORTABLE, None, INT8_TABLE, None, joins=True)


@pytest.mark.parametrize(
    ("precision", "options", "measured", "told"),
    [
        (Precision.INT8, {}, None, {"rounding": "nearest"}),
        (Precision.INT8, {}, MEASURED, GPTQ | ON),
        (Precision.INT8, {"smooth": True, "rounding": Rounding.NEAREST}, MEASURED, {"rounding": "nearest"} | ON),
        (Precision.BF16, {}, None, {}),
        (Precision.INT4, {"block_size": 32}, None, {"block_size": 32, "rounding": "nearest"}),
        (
            Precision.FP8,
            {},
            MEASURED,
            {"activations": "tensor", "ranges": "max", "by_row": []} | GPTQ | ON,
        ),
        (
            Precision.FP8,
            {"ranges": RangeMethod.MSE},
            MEASURED,
            {"activations": "tensor", "ranges": "mse", "by_row": []} | GPTQ | ON,
        ),
        (Precision.FP8, {"activations": Activations.ROW}, None, {"activations": "row", "rounding": "nearest"}),
    ],
)
def test_every_option_is_told(
    precision: Precision, options: dict[str, object], measured: CalibrationSet | None, told: dict[str, object]
) -> None:
    found = describe_recipe(recipe(precision), ExportOptions(precision=precision, **options), measured)  # type: ignore[arg-type]
    own = {"dialect": "portable", "joins": True, "widens": True, "compute": "fp32", "table": "int8"}
    assert found == own | told
    assert json.loads(json.dumps(found)) == found


def test_what_is_folded_in_is_told_without_its_tensors() -> None:
    smoothing = Smoothing({"a": torch.ones(2)}, {"b": torch.ones(2)}, (0.5, 0.0))
    made = replace(recipe(Precision.INT8), smoothing=smoothing, compute=Compute.BF16)
    found = describe_recipe(made, ExportOptions(smooth=True), MEASURED)
    assert found["smoothing"] == {"strengths": [0.5, 0.0]}
    assert found["compute"] == "bf16"
    assert found["calibration"] == ON["calibration"]


def test_a_rotation_is_told_in_words() -> None:
    turns = {
        "table": Turn(inputs=Basis.STREAM),
        "o_proj": Turn(inputs=Basis.HEADS, outputs=Basis.STREAM),
        "down_proj": Turn(inputs=Basis.BLOCKS, outputs=Basis.STREAM),
    }
    told = describe_recipe(rotated(INT8, Rotation(turns, {}, 96, 32)), ExportOptions(), None)
    assert told["rotation"] == {
        "residual stream": "folded into the weights",
        "values": "folded into the weights, by heads of 96 channels",
        "input of down_proj": "turned in the graph, in blocks of 32 channels",
    }
    del turns["down_proj"], turns["o_proj"]
    fewer = describe_recipe(rotated(INT8, Rotation(turns, {}, 96, 1)), ExportOptions(), None)
    assert list(fewer["rotation"]) == ["residual stream"], "only what is turned"


def test_the_cpus_variant_beside_one_for_gpus_was_measured_if_its_weights_were_compensated() -> None:
    for rounding, told in ((Rounding.GPTQ, True), (Rounding.NEAREST, False)):
        options = ExportOptions(precision=Precision.FP16, rounding=rounding)
        assert ("calibration" in describe_recipe(recipe(Precision.INT8), options, MEASURED)) is told
