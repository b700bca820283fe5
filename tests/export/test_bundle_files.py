"""What a bundle takes from its checkpoint as it is: licence and card."""

from __future__ import annotations

from pathlib import Path

import pytest
from rim_export.bundle_files import carry_license_and_card
from rim_export.checkpoint.folder import Checkpoint
from rim_export.errors import CheckpointError
from rim_runtime.machine.storage import new_folder

from tests.places import DEMO_PACKAGE


def test_a_licence_that_cannot_be_read_is_the_checkpoints_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was said that the bundle cannot be written."""
    checkpoint, read = Checkpoint.open(DEMO_PACKAGE / "checkpoint"), Path.read_bytes

    def refusing(path: Path) -> bytes:
        if path.name == "LICENSE":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    message = r"LICENSE cannot be read \(Permission denied\)\. Check its permissions"
    with pytest.raises(CheckpointError, match=message), new_folder(tmp_path / "out") as folder:
        carry_license_and_card(checkpoint, folder)
    assert not list(tmp_path.iterdir())
