"""A model for OpenVINO GenAI, converted by optimum-intel: `make_openvino.py CHECKPOINT TARGET PRECISION`.

optimum-intel asks for torchvision, whose wheel in the package index is for another torch than the CPU's: only
models that see need it, so it is hidden.
"""

from __future__ import annotations

import sys

from quiet import REPORTER


def main() -> None:
    """Convert."""
    for name in ("torchvision", REPORTER):
        sys.modules[name] = None  # type: ignore[assignment]
    from optimum.commands.optimum_cli import main as convert

    checkpoint, target, precision = sys.argv[1:]
    task = ["--task", "text-generation-with-past"]
    sys.argv = ["optimum-cli", "export", "openvino", "--model", checkpoint, *task]
    sys.argv += ["--weight-format", precision, target]
    convert()


if __name__ == "__main__":
    main()
