"""What errors are in words for programs: exit codes and JSON."""

from __future__ import annotations

import pytest
from rim_runtime import errors

from rim_edge.cli.output import error_body, exit_code


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (errors.RimError("x"), 1, "rim"),
        (errors.StorageError("x"), 1, "storage"),
        (errors.BrokenLogitsError("ort-cpu", "int8"), 1, "broken-logits"),
        (errors.QuestionTooLongError(9, 8), 2, "question-too-long"),
        (errors.BundleNotFoundError("x"), 2, "bundle-not-found"),
        (errors.TargetExistsError("x"), 2, "target-exists"),
        (errors.BundleCorruptError("x"), 3, "bundle-corrupt"),
        (errors.SelfTestError("x"), 3, "self-test"),
        (errors.EngineUnavailableError("x"), 4, "engine-unavailable"),
        (errors.MissingExtraError("torch", "pip install x", "Exporting"), 4, "missing-extra"),
        (FileNotFoundError("x"), 1, "file-not-found"),
    ],
)
def test_exit_codes_and_bodies(error: Exception, code: int, kind: str) -> None:
    assert exit_code(error) == code
    assert error_body(error) == {"error": {"code": code, "kind": kind, "message": str(error)}}
