"""Where a benchmark keeps its things: everything below one work folder, nothing elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).parents[1]


@dataclass(frozen=True)
class Place:
    """A work folder and the size of the model that is measured."""

    work: Path
    """Folder of everything that is made: checkpoints, bundles, environments, parts of the result."""
    tokenizer: Path
    """Folder with the tokenizer and config of Qwen3-1.7B."""
    layers: int
    """Layers of the whole model."""
    slice_layers: int
    """Layers of the slice that stands for it where a peer needs more memory than there is."""
    exam: int | None = None
    """Questions of our bundles' certificates; None means all that ship. A slice's always has SLICE_EXAM."""

    def checkpoint(self, layers: int) -> Path:
        """Return the checkpoint with this many layers, made or not."""
        return self.work / f"checkpoint-{layers}"

    def made(self, maker: str, layers: int, name: str) -> Path:
        """Return what `maker` makes of a checkpoint: a file or folder, its figures beside it in NAME.json."""
        return self.work / f"{maker}-{layers}" / name

    @property
    def parts(self) -> Path:
        """Folder of the measured parts, one JSON each."""
        return self.work / f"parts-{self.layers}"

    @property
    def home(self) -> Path:
        """RIM_EDGE_HOME of everything that is asked warm."""
        return self.work / "home"

    def log(self, name: str) -> Path:
        """Where a process called `name` writes what it says; the folder is made."""
        folder = self.work / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name.replace(' ', '-').replace('/', '-')}.log"


def our_environment(home: Path) -> dict[str, str]:
    """Environment of a process of ours: as this one's, with a home of its own."""
    return {**os.environ, "RIM_EDGE_HOME": str(home), "HF_HUB_OFFLINE": "1"}


def peer_environment() -> dict[str, str]:
    """Environment of a peer's process: nothing of our Python in it, usage reporting off, no network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RIM_EDGE"))}
    return {**kept, "ORT_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
