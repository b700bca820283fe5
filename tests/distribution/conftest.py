"""The wheel and the source distribution, as they would be published."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.places import REPOSITORY


@dataclass(frozen=True)
class Built:
    """Both files."""

    wheel: Path
    source: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    build(REPOSITORY, folder)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, source)


def build(project: Path, folder: Path, *options: str) -> None:
    """Build what is asked for, both by default, from a project's folder."""
    command = [sys.executable, "-m", "hatchling", "build", *options, "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=600)
