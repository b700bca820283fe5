"""Links in a checkpoint's folder: their targets are read and shipped, so they must be inside the folder."""

from __future__ import annotations

from pathlib import Path

from rim_export.errors import CheckpointError


def refuse_links_out(folder: Path) -> None:
    """Raise CheckpointError if a link points out of the folder; in the hub's cache it may point to the blobs."""
    own = _own_folders(folder)
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not any(path.resolve().is_relative_to(place) for place in own):
            raise CheckpointError(
                f"{path} is a link to {path.resolve()}, outside the checkpoint; expected files of its own. "
                "Copy the file into the folder, or remove the link."
            )


def _own_folders(folder: Path) -> tuple[Path, ...]:
    real = folder.resolve()
    in_hub_cache = real.parent.name == "snapshots"
    return (real, real.parents[1] / "blobs") if in_hub_cache else (real,)
