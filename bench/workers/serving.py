"""The answering side of a worker: JSON lines in, JSON lines out. Standard library only: it runs everywhere.

A worker says one line when it is ready (what it is, in its own words), then answers each line that it is sent:
`{"ask": NAME, "question": TEXT, "ids": [the whole prompt's token ids]}` → `{"seconds": …, "result": …}`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

Prompt = Mapping[str, Any]
Ask = Callable[[Prompt], object]
THREADS = len(os.sched_getaffinity(0))
"""Threads that every worker computes with: all cores it may use."""


def serve(asks: Mapping[str, Ask], ready: Mapping[str, object]) -> None:
    """Say `ready`, then answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")  # libraries may print: what they say goes to standard error
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    print(json.dumps(dict(ready)), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        started = time.perf_counter()
        result = asks[command["ask"]](command)
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "result": result}), file=answers, flush=True)
