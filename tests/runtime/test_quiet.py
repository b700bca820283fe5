"""A process that imported rim_runtime and answered: alone, silent, and gone without a trace.

Usage reporting starts late, so it stays alive for 30 s after the answer. Audit hooks see Python only, so the
kernel kills the process at its first socket, whoever opens it; a control shows that it would.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

ALIVE_S = 30.0
SOCKET_CALL = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Kernel's number of the architecture, and of its system call `socket`."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in SOCKET_CALL, reason="needs the kernel's call filter"
)

FORBID_SOCKETS = """
import ctypes, struct, sys
def forbid_sockets(architecture, call):
    load, equal, give = 0x20, 0x15, 0x06
    kill, allow = 0x80000000, 0x7FFF0000
    steps = [
        (load, 0, 0, 4), (equal, 0, 3, architecture),
        (load, 0, 0, 0), (equal, 0, 1, call),
        (give, 0, 0, kill), (give, 0, 0, allow),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    assert libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0
    assert libc.prctl(set_seccomp, filter_mode, program, 0, 0) == 0
forbid_sockets(int(sys.argv[1]), int(sys.argv[2]))
"""

CHILD = """
import json
seen = []
def watch(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.", "ssl.", "subprocess.", "os.system", "os.exec", "os.fork")):
        seen.append(event)
sys.addaudithook(watch)
from rim_runtime import Engine
with Engine.load(sys.argv[3], engine=sys.argv[4]) as engine:
    letter = engine.ask("Which vitamin?", ["A1", "B12", "C"]).letter
    engine.ask("Where are you?")
    print(letter, flush=True)
    sys.stdin.readline()
names = (
    "torch", "transformers", "onnx", "onnxscript", "huggingface_hub", "openvino_telemetry", "ssl", "http.client"
)
print(json.dumps({"seen": seen, "loaded": [name for name in names if name in sys.modules]}), flush=True)
"""


def start(code: str, home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start code that cannot open a socket, with a fresh home and none of our variables."""
    home.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RIM_EDGE", "XDG", "ORT"))}
    numbers = map(str, SOCKET_CALL[platform.machine()])
    return subprocess.Popen(
        [sys.executable, "-c", FORBID_SOCKETS + textwrap.dedent(code), *numbers, *arguments],
        env=kept | {"HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_it_loads_little_opens_no_socket_and_writes_only_its_cache(tiny_bundle: Path, tmp_path: Path) -> None:
    """Every engine in a process of its own, all at once: they have to be watched for long."""
    with ExitStack() as stack:
        children = {
            engine: stack.enter_context(start(CHILD, tmp_path / engine, str(tiny_bundle), engine))
            for engine in ("ort-cpu", "openvino")
        }
        for child in children.values():
            assert child.stdout
            assert child.stdout.readline().strip() in ("A", "B", "C")
        time.sleep(ALIVE_S)
        for engine, child in children.items():
            check_quiet(child, tmp_path / engine)


def check_quiet(child: subprocess.Popen[str], home: Path) -> None:
    assert child.stdin and child.stdout
    assert child.poll() is None, "it opened a socket and was killed"
    child.stdin.write("\n")
    child.stdin.flush()
    assert json.loads(child.stdout.readline()) == {"seen": [], "loaded": []}
    assert child.wait(timeout=60) == 0
    written = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert written, "the passed self-test is remembered"
    assert all(path.startswith(".cache/rim-edge/selftests/") for path in written), written


def test_the_control_that_opens_a_socket_is_killed(tmp_path: Path) -> None:
    with start("import socket; socket.socket()", tmp_path / "home") as child:
        child.wait(timeout=60)
    assert child.returncode == -31  # SIGSYS
