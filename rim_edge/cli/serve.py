"""`rim-edge serve`: one bundle that answers over HTTP, for programs and a browser on this machine."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rim_runtime.engines.names import EngineName
from rim_runtime.errors import StorageError

from rim_edge.cli.options import BundleOption, EngineOption, JsonOption, PrecisionOption
from rim_edge.cli.output import note, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from rim_runtime.engine import Engine

    from rim_edge.serving.limits import Limits

LOAD = "How much it takes on"
"""Panel."""
LOOPBACK = "127.0.0.1"
"""Where it listens: this machine alone."""

USUAL_PORT = 8765

PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        metavar="N",
        min=0,
        max=65_535,
        help="Its port on 127.0.0.1; 0 takes a free one.",
        show_default=str(USUAL_PORT),
    ),
]
SocketOption = Annotated[
    Path | None,
    typer.Option("--socket", metavar="FILE", help="Listen at a Unix socket instead.", show_default=False),
]
LinesOption = Annotated[
    bool,
    typer.Option("--jsonl", help="Answer lines of JSON, not HTTP: from stdin, or at a --socket."),
]
WaitingOption = Annotated[
    int,
    typer.Option(
        "--waiting",
        metavar="N",
        min=1,
        help="Questions that may wait; more are turned away (503).",
        rich_help_panel=LOAD,
    ),
]
TextsOption = Annotated[
    int, typer.Option("--texts", metavar="N", min=1, help="Texts written at the same time.", rich_help_panel=LOAD)
]
SecondsOption = Annotated[
    float,
    typer.Option(
        "--seconds", metavar="N", min=0.1, help="How long one answer may take (504).", rich_help_panel=LOAD
    ),
]


def serve(
    bundle: BundleOption = None,
    port: PortOption = None,
    socket: SocketOption = None,
    jsonl: LinesOption = False,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = None,
    waiting: WaitingOption = 256,
    texts: TextsOption = 2,
    seconds: SecondsOption = 120.0,
    as_json: JsonOption = False,
) -> None:
    """Answer over HTTP on this machine: a page, /ask, /generate, /trace, and the routes of OpenAI's clients.

    It ends with Ctrl-C, or with the input of --jsonl, once all that was asked is answered. See docs/serving.md.
    """
    _refuse_together(port, socket, jsonl)
    if not jsonl:
        from rim_edge.extras import require_extra

        require_extra("serve", "Serving")
    from rim_runtime.bundle.names import resolve_bundle

    from rim_edge.cli.opening import folder_of, open_engine
    from rim_edge.serving.limits import Limits

    limits = Limits(waiting=waiting, texts=texts, seconds=seconds)
    with (
        folder_of(resolve_bundle(bundle).path) as folder,
        open_engine(folder, engine, precision) as opened,
    ):
        if jsonl:
            _answer_lines(opened, limits, socket, as_json)
        else:
            _serve(opened, limits, USUAL_PORT if port is None else port, socket, as_json)


def _refuse_together(port: int | None, socket: Path | None, jsonl: bool) -> None:
    if port is not None and socket is not None:
        raise typer.BadParameter("--port and --socket exclude each other: it listens at one place")
    if port is not None and jsonl:
        raise typer.BadParameter("--port and --jsonl exclude each other: lines come from stdin, or at a --socket")


def _serve(engine: Engine, limits: Limits, port: int, socket: Path | None, as_json: bool) -> None:
    from rim_edge.serving.listening import listen

    listen(engine, limits, _begun(engine, as_json), port=port, socket=socket)


def _answer_lines(engine: Engine, limits: Limits, socket: Path | None, as_json: bool) -> None:
    from rim_edge.serving.jsonl.run import answer_socket, answer_stdio

    if socket is not None:
        answer_socket(engine, limits, _begun(engine, as_json), socket)
        return
    try:
        source, target = sys.stdin.fileno(), sys.stdout.fileno()
    except io.UnsupportedOperation:
        raise StorageError(
            "Standard input or output is closed, and --jsonl answers there. Give a --socket."
        ) from None
    note(f"{engine.bundle} answers lines of JSON; their end ends it")
    answer_stdio(engine, limits, source, target)


def _begun(engine: Engine, as_json: bool) -> Callable[[str], None]:
    """Return what tells where it listens."""

    def begun(place: str) -> None:
        if as_json:
            print_json({"listening": place, "bundle": engine.bundle, "engine": engine.name})
        else:
            note(f"{engine.bundle} answers on {place} (Ctrl-C ends it)")

    return begun
