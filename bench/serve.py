"""A server under load: many clients at once, idle connections beside them, and clients that do not read.

    python bench/serve.py [--clients 64] [--seconds 60] [--idle 1000] [--stalled 8] [--bundle demo] [--out FILE]

`rim-edge serve` runs in a process of its own and the clients in this one, on the same cores: clients take a part
of what the server could have. Each client asks for letters over one connection, the next question when it has its
answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.machine import describe_machine

from rim_edge.puzzles.fresh import fresh_puzzles

HERE = Path(__file__).parent
_SHARES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}


async def main(options: argparse.Namespace, port: int) -> dict[str, Any]:
    """Load the server, and return what was seen."""
    bodies = [json.dumps({"question": puzzle.question}).encode() for puzzle in fresh_puzzles(256, seed=11)]
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(options.idle)]
    stalled = [await _stall(port, bodies[0]) for _ in range(options.stalled)]
    end = time.monotonic() + options.seconds
    began = time.monotonic()
    work = (_client(port, bodies[number :: options.clients], end) for number in range(options.clients))
    found = await asyncio.gather(*work)
    seconds = time.monotonic() - began
    alive = [await _is_alive(*one, bodies[0]) for one in idle]
    for _, writer in (*idle, *stalled):
        writer.close()
    times = sorted(one for times, _ in found for one in times)
    errors = [error for _, errors in found for error in errors]
    shares = {
        name: round(1000 * times[min(len(times) - 1, int(share * len(times)))], 2)
        for name, share in _SHARES.items()
    }
    return {
        "answers": len(times),
        "errors": len(errors),
        "first_error": errors[0] if errors else None,
        "answers_a_second": round(len(times) / seconds, 1),
        **shares,
        "idle_connections": len(idle),
        "idle_connections_that_answer_afterwards": sum(alive),
        "stalled_clients": len(stalled),
    }


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def _client(port: int, bodies: list[bytes], end: float) -> tuple[list[float], list[str]]:
    """Ask one question after another; return the seconds of each, and what went wrong."""
    times, errors, place = [], [], 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < end:
        began = time.perf_counter()
        status = await _ask(reader, writer, bodies[place % len(bodies)])
        if status == 200:
            times.append(time.perf_counter() - began)
        else:
            errors.append(f"status {status}")
        place += 1
    writer.close()
    return times, errors


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> int:
    writer.write(_request(body))
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split("\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(" ")[1])


async def _stall(port: int, body: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask, and never read the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request(body))
    await writer.drain()
    return reader, writer


async def _is_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> bool:
    """Whether a connection that was idle is still answered; the server ends those that are idle for 75 s."""
    try:
        return await _ask(reader, writer, body) == 200
    except (OSError, asyncio.IncompleteReadError):
        return False


def _request(body: bytes) -> bytes:
    lines = (
        "POST /ask HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--idle", type=int, default=1_000)
    parser.add_argument("--stalled", type=int, default=8)
    parser.add_argument("--bundle", default="demo")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "serve.json")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start the server, load it, end it; return what was seen."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "rim_edge", "serve", "--bundle", options.bundle, "--port", "0", "--json"]
        environment = {**os.environ, "RIM_EDGE_HOME": home}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        assert process.stdout is not None
        begun = json.loads(process.stdout.readline())
        found = asyncio.run(main(options, int(begun["listening"].rpartition(":")[2])))
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.send_signal(signal.SIGINT)
        process.wait(60)
    peak = int(status.split("VmHWM:")[1].split()[0]) / 2**20
    told = {"bundle": begun["bundle"], "engine": begun["engine"], "clients": options.clients}
    return {
        **told,
        "seconds": options.seconds,
        **found,
        "peak_gib": round(peak, 3),
        "exit_code": process.returncode,
    }


if __name__ == "__main__":
    given = _options()
    result = {"machine": describe_machine(), "load": measure(given)}
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["load"], indent=1))
