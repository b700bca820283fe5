"""What a run will write, tried before any work: the output's place, TensorBoard's folder, room on the disk."""

from __future__ import annotations

import shutil

from rim_export.checkpoint.folder import Checkpoint
from rim_runtime.errors import StorageError
from rim_runtime.machine.storage import nearest_existing, refuse_existing, require_writable

from rim_edge.training.job import Job
from rim_edge.training.memory import Shape, disk


def check_targets(job: Job) -> None:
    """Refuse an output that exists, and what cannot be written. Raises TargetExistsError and StorageError."""
    refuse_existing(job.out)
    require_writable(job.out)
    if job.tensorboard is not None:
        require_writable(job.tensorboard / job.out.name)


def check_room(job: Job, base: Checkpoint | None) -> None:
    """Raise StorageError where the disk has no room for the saved states and the checkpoint. A toy always fits."""
    if base is None:
        return
    checkpoint = sum(path.stat().st_size for path in base.weights.paths)
    needed, place = disk(Shape.of(base.config), job.recipe, checkpoint), nearest_existing(job.out)
    saved = job.out.with_name(f"{job.out.name}.progress")  # an earlier state makes room for the next one
    free = shutil.disk_usage(place).free + sum(file.stat().st_size for file in saved.rglob("*") if file.is_file())
    if free < needed:
        raise StorageError(
            f"{place} has {free / 1e9:,.1f} GB free, expected {needed / 1e9:,.1f} GB: two saved states, or one "
            f"and the checkpoint, lie beside {job.out} at a time. Free some space, or choose another --output."
        )
