"""rim-edge's own routes: the engine's own answers, batches of many clients, refusals, limits."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rim_runtime import Engine, FakeBackend, FakeDecoder
from rim_runtime.testing import fake_engine

from rim_edge.serving.limits import Limits
from tests.places import DEMO_FOLDER
from tests.serving.long_texts import head_of
from tests.serving.running import running

SCURVY = {"question": "Which vitamin prevents scurvy?", "options": ["Vitamin A", "Vitamin C"]}


class SlowBackend(FakeBackend):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_go_on = threading.Event(), threading.Event()

    def run(self, *arguments: Any, **named: Any) -> Any:
        """Wait."""
        self.begun.set()
        cancel = named.get("cancel") or (arguments[3] if len(arguments) > 3 else None)
        while not self.may_go_on.wait(0.01):
            if cancel is not None:
                cancel.check()
        return super().run(*arguments, **named)


class SlowDecoder(FakeDecoder):
    """Takes its time for each token."""

    def step(self, *arguments: Any, **named: Any) -> Any:
        """Wait, then step."""
        time.sleep(0.1)
        return super().step(*arguments, **named)


def slow_engine(backend: SlowBackend) -> Engine:
    return fake_engine(backend)


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if not key.endswith("_ms")}


def test_a_letter_a_trace_and_health_are_the_engines() -> None:
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        answer = engine.ask(SCURVY["question"], SCURVY["options"], blocks=2)
        trace = engine.trace(SCURVY["question"], SCURVY["options"])
    with running(Engine.load(DEMO_FOLDER, engine="ort-cpu")) as server:
        reply = server.post("/ask", {**SCURVY, "blocks": 2})
        assert reply.status == 200
        assert without_times(reply.json) == without_times(json.loads(json.dumps(dataclasses.asdict(answer))))
        found = server.post("/trace", SCURVY).json
        assert [one["letter"] for one in found["answers"]] == [one.letter for one in trace.answers]
        health = server.get("/health").json
        assert (health["status"], health["bundle"], health["text"], health["trace"]) == ("ok", "demo", False, True)


def test_those_that_ask_at_the_same_time_are_asked_in_batches() -> None:
    backend = SlowBackend()
    with running(fake_engine(backend)) as server, ThreadPoolExecutor(40) as pool:
        first = pool.submit(server.post, "/ask", {"question": "First?"})
        assert backend.begun.wait(10)
        others = [pool.submit(server.post, "/ask", {"question": f"Question {n}?"}) for n in range(34)]
        while server.service.load[0] < 34:
            time.sleep(0.01)
        backend.may_go_on.set()
        replies = [one.result() for one in (first, *others)]
        assert {reply.status for reply in replies} == {200}
        alone = fake_engine(FakeBackend())
        asked = ["First?", *(f"Question {n}?" for n in range(34))]
        expected = [dict(alone.ask(question).probabilities) for question in asked]
        assert [reply.json["probabilities"] for reply in replies] == expected
        metrics = server.get("/metrics").body.decode()
        assert "rim_letters_total 35" in metrics
        assert "rim_batches_total 3" in metrics, "the first one, then 32, then 2"


def test_a_text_is_written_whole_or_piece_by_piece() -> None:
    with running(fake_engine(decoder=FakeDecoder("Grüße, 日本!"))) as server:
        whole = server.post("/generate", {"question": "Where?", "max_tokens": 50})
        assert (whole.status, whole.json["text"], whole.json["ended"]) == (200, "Grüße, 日本!", "stop-token")
        streamed = server.post("/generate", {"question": "Where?", "stream": True, "stop": "!"})
        assert streamed.headers["content-type"].startswith("text/event-stream")
        *pieces, last = streamed.events
        assert "".join(piece["piece"] for piece in pieces) == last["text"] == "Grüße, 日本"
        assert last["ended"] == "stop-text"


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/ask", b"{", 400, "The body is no JSON"),
        ("/ask", b"[]", 400, "The body is an array, expected an object"),
        ("/ask", b"x" * 2_000_000, 413, "more than 1,000,000 bytes"),
        ("/ask", b"null", 400, "The body is null, expected an object"),
        ("/ask", b"true", 400, "The body is true, expected an object"),
        ("/ask", b'"Why?"', 400, "The body is a string, expected an object"),
        ("/ask", b"1.5", 400, "The body is a number, expected an object"),
        ("/ask", {}, 400, "'question' is None"),
        ("/ask", {"question": " "}, 400, "expected some text"),
        ("/ask", {"question": "Why?", "options": ["one"]}, 400, "The number of choices is 1"),
        ("/ask", {"question": "Why?", "blocks": 99}, 400, "99"),
        ("/ask", {"question": "Why?", "blocks": "two"}, 400, "blocks is 'two'"),
        ("/ask", {"question": "Why?", "max_tokens": 3}, 400, "ask does not take max_tokens"),
        ("/ask", {"question": "Why?", "wat": 3}, 400, "Nothing reads wat"),
        ("/ask", {"question": "Why?", "\ud800": 3}, 400, "Nothing reads \\ud800"),
        ("/ask", {"question": "Wh\ud800y?"}, 400, "half a character"),
        ("/ask", {"question": "Why?", "options": ["a", "\ud800"]}, 400, "half a character"),
        ("/generate", {"question": "Why?", "n": 10**9}, 400, "Nothing reads n"),
        ("/ask", {"question": "why " * 5_000}, 400, "this bundle takes at most"),
        ("/generate", {"question": "Why?"}, 400, "answers with letters alone"),
        ("/generate", {"question": "Why?", "stream": "yes"}, 400, "stream is 'yes'"),
        ("/generate", {"question": "Why?", "temperature": -1}, 400, "temperature is -1"),
        ("/nowhere", {}, 404, "There is no POST /nowhere. Routes: POST /ask"),
        ("/health", {}, 405, "There is no POST /health"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(path: str, body: Any, status: int, words: str) -> None:
    with running(fake_engine(FakeBackend())) as server:
        reply = server.post(path, body)
        assert reply.status == status
        assert words in reply.json["error"]["message"]
        assert server.post("/ask", {"question": "Why?"}).status == 200, "and the next one is answered"


WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"stop": 5}, "stop is 5, expected a text or a list of texts"),
    ({"stop": {"!": 1}}, "stop is {'!': 1}, expected"),
    ({"stop": ["x", 5]}, "stop text is 5"),
    ({"stop": "\ud800"}, "stop text is '\\ud800'"),
    ({"temperature": 10**400}, "temperature is 1000"),
    ({"top_p": "all"}, "top_p is 'all'"),
    ({"seed": 0.5}, "seed is 0.5"),
    ({"max_tokens": "ten"}, "max_tokens is 'ten'"),
]


@pytest.mark.parametrize(("options", "words"), WRONG_OPTIONS)
def test_options_of_a_text_that_are_none_are_refused(options: dict[str, Any], words: str) -> None:
    with running(fake_engine(decoder=FakeDecoder("Bonjour!"))) as server:
        for streams in (False, True):
            reply = server.post("/generate", {"question": "Where?", "stream": streams, **options})
            assert (reply.status, reply.json["error"]["kind"]) == (400, "input")
            assert words in reply.json["error"]["message"]
        chat = {"messages": [{"role": "user", "content": "Where?"}], **options}
        assert server.post("/v1/chat/completions", chat).status == 400


class BrokenBackend(SlowBackend):
    """Fails in a way that nobody foresaw, when it is told to go on."""

    def run(self, *arguments: Any, **named: Any) -> Any:
        """Fail."""
        super().run(*arguments, **named)
        raise ZeroDivisionError("by nothing")


class BrokenDecoder(FakeDecoder):
    """Fails likewise, once a part of its text is written."""

    def step(self, *arguments: Any, **named: Any) -> Any:
        """Fail."""
        raise ZeroDivisionError("by nothing")


def test_a_fault_that_nobody_foresaw_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    backend = BrokenBackend()
    with running(fake_engine(backend, BrokenDecoder("xxx"))) as server, ThreadPoolExecutor(4) as pool:
        first = pool.submit(server.post, "/ask", {"question": "First?"})
        assert backend.begun.wait(10)
        batch = [pool.submit(server.post, "/ask", {"question": f"{n}?"}) for n in range(3)]
        while server.service.load[0] < 3:
            time.sleep(0.01)
        backend.may_go_on.set()
        for reply in [one.result() for one in (first, *batch)]:
            assert (reply.status, reply.json["error"]["kind"]) == (500, "server-error")
            words = "The server failed (ZeroDivisionError). Its own log says more."
            assert reply.json["error"]["message"] == words
        assert len(faults(caplog)) == 2, "of the first one, and of the batch of three"
        streamed = server.post("/generate", {"question": "Where?", "stream": True})
        assert streamed.events[-1]["error"]["kind"] == "server-error"
        chat = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Where?"}]})
        assert (chat.status, chat.json["error"]["code"]) == (500, "server-error")
        assert server.post("/generate", {"question": " "}).status == 400
        assert len(faults(caplog)) == 4
        assert all("in run" in fault or "in step" in fault for fault in faults(caplog))


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the tracebacks in the server's log."""
    told = [record for record in caplog.records if record.name == "rim_edge.serving"]
    assert all(record.exc_info for record in told)
    return [logging.Formatter().format(record) for record in told]


def test_a_web_page_cannot_ask() -> None:
    with running(fake_engine(FakeBackend())) as server:
        assert server.post("/ask", {"question": "Why?"}, Content_Type="text/plain").status == 415
        assert server.post("/ask", {"question": "Why?"}, Host="rebound.example:80").status == 421
        assert server.get("/health", Host="localhost:1").status == 200
        assert server.get("/health", Host="[::1]:8765").status == 200
        assert "access-control-allow-origin" not in server.get("/health", Origin="https://example.com").headers


def test_more_than_may_wait_are_turned_away_and_nobody_waits_for_ever() -> None:
    backend = SlowBackend()
    limits = Limits(waiting=2, seconds=1.0)
    with running(slow_engine(backend), limits) as server, ThreadPoolExecutor(8) as pool:
        first = pool.submit(server.post, "/ask", {"question": "First?"})
        assert backend.begun.wait(10)
        waiting = [pool.submit(server.post, "/ask", {"question": f"{n}?"}) for n in range(2)]
        while server.service.load[0] < 2:
            time.sleep(0.01)
        turned_away = server.post("/ask", {"question": "One more?"})
        assert turned_away.status == 503
        assert turned_away.headers["retry-after"] == "1"
        assert turned_away.json["error"]["kind"] == "busy"
        for one in (first, *waiting):
            assert one.result().status == 504
        backend.may_go_on.set()
        assert server.post("/ask", {"question": "And now?"}).status == 200


def test_a_text_waits_no_longer_than_is_allowed() -> None:
    """The time in the queue counts: two texts at once, one place."""
    decoder = SlowDecoder("x" * 50)
    limits = Limits(texts=1, seconds=1.0)
    with running(fake_engine(decoder=decoder), limits) as server, ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        asked = [pool.submit(server.post, "/generate", {"question": "Where?", "max_tokens": 50}) for _ in range(2)]
        assert [one.result().status for one in asked] == [504, 504]
        assert time.monotonic() - began < 1.9, "not one after the other"


def test_a_client_that_leaves_or_does_not_read_holds_nobody_up() -> None:
    decoder = FakeDecoder("x" * 300)
    with running(fake_engine(decoder=decoder), Limits(texts=1, send_seconds=0.5)) as server:
        body = json.dumps({"question": "Where?", "stream": True, "max_tokens": 300}).encode()
        for leaves in (True, False):
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(head_of("/generate", len(body)) + body)
            if leaves:
                client.close()
            assert server.post("/generate", {"question": "Where?", "max_tokens": 3}).json["text"] == "xxx"
            client.close()
        deadline = time.monotonic() + 10
        while server.service.load != (0, 0) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.service.load == (0, 0)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/generate", {"question": "Where?", "max_tokens": 400}),
        ("/v1/completions", {"prompt": "Where?", "max_tokens": 400}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Where?"}], "max_tokens": 400}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Where?"}], "max_tokens": 400, "n": 2}),
    ],
)
def test_a_text_that_nobody_waits_for_is_given_up(path: str, body: dict[str, Any]) -> None:
    """It is not streamed, so that nothing is written to the client that has left."""
    with running(fake_engine(decoder=SlowDecoder("x" * 400)), Limits(texts=1)) as server:
        content = json.dumps(body).encode()
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(head_of(path, len(content)) + content)
            while server.service.load[1] == 0:
                time.sleep(0.01)
        deadline = time.monotonic() + 20
        while server.service.load != (0, 0) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.service.load == (0, 0), "the 40 s of its text are over sooner"


def test_many_idle_connections_do_not_matter() -> None:
    with running(fake_engine(FakeBackend())) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
        assert server.post("/ask", {"question": "Why?"}).status == 200
        for one in idle:
            one.close()


def test_the_page_and_what_it_loads_come_from_here() -> None:
    with running(fake_engine(FakeBackend())) as server:
        page = server.get("/")
        assert page.status == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        names = _loaded(page.body.decode())
        assert names == ["page.css", "page.js"]
        for name in names:
            assert server.get(f"/{name}").status == 200
            assert b"//" not in server.get(f"/{name}").body, "no address of another place"


def _loaded(page: str) -> list[str]:
    return [one for one in re.findall(r'(?:src|href)="([^"]*)"', page) if not one.startswith("data:")]


def test_it_ends_once_the_answers_are_given() -> None:
    backend = SlowBackend()
    with ThreadPoolExecutor(2) as pool:
        with running(slow_engine(backend)) as server:
            asked = pool.submit(server.post, "/ask", {"question": "Last?"})
            assert backend.begun.wait(10)
            threading.Timer(0.2, backend.may_go_on.set).start()
        assert asked.result().status == 200
