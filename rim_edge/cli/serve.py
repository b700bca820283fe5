"""`rim-edge serve`: one bundle that answers over HTTP, for programs and a browser on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rim_runtime.engines.names import EngineName

from rim_edge.cli.options import BundleOption, EngineOption, JsonOption, PrecisionOption
from rim_edge.cli.output import note, print_json

if TYPE_CHECKING:
    from rim_runtime.engine import Engine

    from rim_edge.serving.limits import Limits

LOAD = "How much it takes on"
"""Panel."""
LOOPBACK = "127.0.0.1"
"""Where it listens: this machine alone."""

PortOption = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65_535, help="Its port on 127.0.0.1; 0 takes a free one.")
]
SocketOption = Annotated[
    Path | None,
    typer.Option("--socket", metavar="FILE", help="Listen at a Unix socket instead.", show_default=False),
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
    port: PortOption = 8765,
    socket: SocketOption = None,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = None,
    waiting: WaitingOption = 256,
    texts: TextsOption = 2,
    seconds: SecondsOption = 120.0,
    as_json: JsonOption = False,
) -> None:
    """Answer over HTTP on this machine: a page, /ask, /generate, /trace, and the routes of OpenAI's clients.

    It ends with Ctrl-C, once those that are being answered have their answers. docs/serving.md has the routes.
    """
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
        _serve(opened, limits, port, socket, as_json)


def _serve(engine: Engine, limits: Limits, port: int, socket: Path | None, as_json: bool) -> None:
    from rim_edge.serving.listening import listen

    def begun(place: str) -> None:
        if as_json:
            print_json({"listening": place, "bundle": engine.bundle, "engine": engine.name})
        else:
            note(f"{engine.bundle} answers on {place} (Ctrl-C ends it)")

    listen(engine, limits, begun, port=port, socket=socket)
