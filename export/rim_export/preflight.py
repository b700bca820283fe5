"""What would fail at the end of an export is refused at its start, before torch is even imported."""

from __future__ import annotations

import shutil
from pathlib import Path

from rim_runtime.errors import StorageError
from rim_runtime.machine.storage import nearest_existing, refuse_existing, require_writable

from rim_export.checkpoint.folder import Checkpoint
from rim_export.question_sets import check_question_files
from rim_export.settings import ExportOptions
from rim_export.size import estimated_bytes


def check_request(model: str | Path, target: str | Path, options: ExportOptions) -> Checkpoint:
    """Return the opened checkpoint, if an export could write all that is asked for; nothing is left behind.

    Raises TargetExistsError, StorageError (a place cannot be written, or has too little space), RowError and
    CalibrationError (a file of questions cannot be used), CheckpointError and its subclasses.
    """
    target = Path(target)
    for place in (target, *filter(None, (options.report,))):
        refuse_existing(place)
        require_writable(place)
    check_question_files(options.certify, options.golden, options.calibration)
    checkpoint = Checkpoint.open(model)
    _require_space(target, estimated_bytes(checkpoint, options))
    return checkpoint


def _require_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(nearest_existing(target)).free
    if needed > free:
        raise StorageError(
            f"The disk is too full: {free / 1e6:,.0f} MB are free for {target}, the bundle takes about "
            f"{needed / 1e6:,.0f} MB. Nothing was written. Free some space, or choose another place (--output)."
        )
