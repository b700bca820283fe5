"""Ask `rim-edge serve` with Python's standard library, in a program that has not installed rim-edge.

python client.py [http://127.0.0.1:8765]
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

SERVER = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8765"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""No proxy is asked for what is on this machine."""


class RefusalError(Exception):
    """The server does not answer; `kind` says why to programs."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def post(path: str, body: dict[str, Any]) -> HTTPResponse:
    """POST an object; return the reply. Raises RefusalError."""
    request = urllib.request.Request(
        SERVER + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        return DIRECT.open(request, timeout=150)  # type: ignore[no-any-return]
    except urllib.error.HTTPError as refused:
        raise RefusalError(**json.load(refused)["error"]) from None


def ask(question: str, options: list[str]) -> dict[str, Any]:
    """Return the answer to a question with options."""
    with post("/ask", {"question": question, "options": options}) as reply:
        return dict(json.load(reply))


def pieces(question: str) -> Iterator[str]:
    """Give a text piece by piece, as it is written."""
    with post("/generate", {"question": question, "stream": True}) as reply:
        for line in reply:
            if not line.startswith(b"data: "):
                continue
            event = json.loads(line.removeprefix(b"data: "))
            if "error" in event:  # the text broke off
                raise RefusalError(**event["error"])
            if "piece" in event:  # the last event has none: it is the whole text, and how it came about
                yield event["piece"]


def main() -> None:
    """Ask for a letter, for a text, and for what is refused."""
    answer = ask("Which vitamin deficiency causes scurvy?", ["Vitamin A", "Vitamin B12", "Vitamin C"])
    share = answer["probabilities"][answer["letter"]]
    print(f"letter: {answer['letter']}, {answer['choice']}, {100 * share:.1f} %")
    print("text: ", end="")
    try:
        for piece in pieces("Where is Mary?"):
            print(piece, end="", flush=True)
        print()
    except RefusalError as refused:
        print(f"none. {refused}")
    try:
        ask("Which vitamin?", ["Vitamin C"])
    except RefusalError as refused:
        print(f"refused ({refused.kind}): {refused}")


if __name__ == "__main__":
    main()
