"""A small service for this machine alone: one engine, many threads, standard library only.

python examples/service.py path/to/bundle 8765
curl -d '{"question": "Which one?", "options": ["this", "that"]}' http://127.0.0.1:8765

A question may have any of the forms in docs/rows.md. What cannot be asked is the caller's error (400), and
{"error": {"kind": …, "message": …}} says why, as `rim-edge --json` does.
"""

import dataclasses
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rim_runtime import Engine, InputError, RimError, RowError, kind_of, parse_row, read_row

LONGEST = 1_000_000
"""Bytes of the longest question that is read."""


class Handler(BaseHTTPRequestHandler):
    """Answers POSTed questions."""

    engine: Engine

    def do_POST(self) -> None:
        """Read a row, reply with the answer's fields."""
        try:
            question = read_row(parse_row(self._body())).question
            self._reply(200, dataclasses.asdict(self.engine.ask(question.text, question.choices)))
        except RimError as error:
            told = {"kind": kind_of(error), "message": str(error)}
            self._reply(400 if isinstance(error, InputError) else 500, {"error": told})

    def _body(self) -> str:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST:
            raise RowError(f"Content-Length is {length!r}, expected a number up to {LONGEST:,}.")
        try:
            return self.rfile.read(int(length)).decode()
        except UnicodeDecodeError as error:
            raise RowError(f"The body is not UTF-8 at byte {error.start}.") from None

    def _reply(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main(bundle: str, port: str) -> None:
    """Serve until interrupted; port 0 takes a free one."""
    with Engine.load(bundle) as Handler.engine, ThreadingHTTPServer(("127.0.0.1", int(port)), Handler) as server:
        print(f"{Handler.engine.bundle} answers on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[2].isdecimal():
        sys.exit("usage: service.py path/to/bundle PORT")
    try:
        main(*sys.argv[1:])
    except RimError as error:
        sys.exit(f"error: {error}")
