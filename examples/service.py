"""A small service for this machine alone: one engine, many threads, standard library only.

python examples/service.py path/to/bundle 8765
curl -d '{"question": "Which one?", "choices": ["this", "that"]}' http://127.0.0.1:8765
"""

import dataclasses
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rim_runtime import Engine, InputError

engine = Engine.load(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    """Answer POSTed questions; what cannot be asked is the caller's error, with our words for it."""

    def do_POST(self) -> None:
        """Read `{"question", "choices"?}`, reply with the answer's fields."""
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            answer = engine.ask(body["question"], body.get("choices"))
            self._reply(200, dataclasses.asdict(answer))
        except (InputError, ValueError, KeyError, TypeError) as error:
            self._reply(400, {"error": str(error)})

    def _reply(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


with engine, ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler) as server:
    print(f"{engine.bundle} answers on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
