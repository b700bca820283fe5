"""What PyInstaller has to know to freeze a program that asks bundles; it comes here by an entry point."""

from __future__ import annotations

from pathlib import Path


def hook_dirs() -> list[str]:
    """Return the folder of the hooks, one a package."""
    return [str(Path(__file__).parent)]
