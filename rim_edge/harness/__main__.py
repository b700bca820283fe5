"""`python -m rim_edge.harness …`: the harness's command line, with the model `rim-edge` and the task `rim_rows`.

It passes everything on, and adds the folder of `rim_rows` unless another `--include_path` is given. What a bundle
refuses is one line and its exit code, as everywhere in rim-edge.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

from rim_runtime.errors import MissingExtraError, RimError, text_of

TASKS = Path(__file__).parent / "tasks"
"""Folder of the task that asks rows of your own."""


def main(arguments: list[str]) -> int:
    """Run the harness and return the exit code: its own, or that of what the bundle refused."""
    try:
        if importlib.util.find_spec("lm_eval") is None:
            raise MissingExtraError("lm_eval", "pip install lm-eval", "The model of lm-evaluation-harness")
        importlib.import_module("rim_edge.harness.model")
        _harness(arguments)
    except RimError as error:
        sys.stderr.write(f"error: {text_of(error)}\n")
        return error.exit_code
    return 0


def _harness(arguments: list[str]) -> None:
    """Call the harness; it reads `sys.argv`."""
    from lm_eval.__main__ import cli_evaluate

    runs = not arguments or arguments[0] == "run" or arguments[0].startswith("-")
    wanted = any(one.split("=")[0] in ("--include_path", "-h", "--help") for one in arguments)
    own = ["--include_path", str(TASKS)] if runs and arguments and not wanted else []
    sys.argv = ["rim_edge.harness", *arguments, *own]
    cli_evaluate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
