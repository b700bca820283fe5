"""Render a chat template in a process of its own first: it may loop, or fill the memory, without an end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rim_export.errors import CheckpointError

SECONDS = 10.0
"""Time that rendering may take; real templates take milliseconds."""
_START_S = 120.0  # for Python and transformers to be imported, on a machine that is busy
_MOST_BYTES = 4 * 2**30
_ENDED = "ended"
_CODE = """
import faulthandler, json, os, sys
given = json.load(sys.stdin)
from transformers.utils.chat_template_utils import render_jinja_template
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (given["bytes"], given["bytes"]))
except (ImportError, ValueError, OSError):
    pass
faulthandler.dump_traceback_later(given["seconds"], exit=True, file=open(os.devnull, "w"))
for content in given["contents"]:
    try:
        render_jinja_template([[{"role": "user", "content": content}]], chat_template=given["template"],
                              add_generation_prompt=True, enable_thinking=False, **given["tokens"])
    except MemoryError:
        sys.exit(1)
    except Exception:
        pass
print(given["ended"])
"""
"""A template that fails is none of its business: whoever renders it says why."""


def refuse_endless_template(tokenizer: Any, contents: Sequence[str]) -> None:
    """Raise CheckpointError if the template does not render these user turns in a moment and in 4 GB."""
    try:
        template = tokenizer.get_chat_template()
        tokens = tuple((name, str(token)) for name, token in tokenizer.special_tokens_map.items())
    except Exception:  # noqa: BLE001 (no template, or several: whoever renders it says so)
        return
    if not _ends(template, tokens, tuple(contents), SECONDS):
        raise CheckpointError(
            f"The chat template does not end within {SECONDS:.0f} s and {_MOST_BYTES / 2**30:.0f} GB on one user "
            "turn, expected milliseconds. Take the template of its base model."
        )


@lru_cache(maxsize=8)
def _ends(template: str, tokens: tuple[tuple[str, str], ...], contents: tuple[str, ...], seconds: float) -> bool:
    given = {
        "template": template,
        "tokens": dict(tokens),
        "contents": contents,
        "seconds": seconds,
        "bytes": _MOST_BYTES,
        "ended": _ENDED,
    }
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "USE_TORCH": "0", "TRANSFORMERS_VERBOSITY": "error"}
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _CODE],
            input=json.dumps(given),
            capture_output=True,
            encoding="utf-8",
            env=environment,
            timeout=_START_S + seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return tried.stdout.strip().endswith(_ENDED)
