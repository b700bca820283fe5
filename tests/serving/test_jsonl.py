"""Lines of JSON: what is asked and answered, refusals, limits, and clients that do not behave."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine, FakeBackend, FakeDecoder
from rim_runtime.testing import fake_engine

from rim_edge.serving.limits import Limits
from tests.places import DEMO_FOLDER
from tests.serving.lines import answering
from tests.serving.long_texts import long_writer
from tests.serving.test_native import SCURVY, WRONG_OPTIONS, SlowBackend, SlowDecoder, without_times

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")


def test_a_letter_a_trace_and_health_are_the_engines(tmp_path: Path) -> None:
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        expected = json.loads(json.dumps(dataclasses.asdict(engine.ask(**asked(SCURVY), blocks=2))))
        traced = engine.trace(**asked(SCURVY))
    with (
        answering(Engine.load(DEMO_FOLDER, engine="ort-cpu"), tmp_path / "s") as server,
        server.client() as client,
    ):
        found = client.ask({"id": {"any": ["JSON", 1]}, **SCURVY, "blocks": 2})
        assert (found.pop("schema_version"), found.pop("id"), found.pop("line")) == (1, {"any": ["JSON", 1]}, 1)
        assert without_times(found) == without_times(expected)
        assert client.ask({"do": "ask", **SCURVY})["line"] == 2, "and no id where none is given"
        found = client.ask({"do": "trace", "id": 3, **SCURVY})
        assert [one["letter"] for one in found["answers"]] == [one.letter for one in traced.answers]
        health = client.ask({"do": "health", "id": 4})
        assert (health["status"], health["bundle"], health["text"], health["trace"]) == ("ok", "demo", False, True)


def asked(row: dict[str, Any]) -> dict[str, Any]:
    return {"question": row["question"], "choices": row["options"]}


def test_a_text_is_written_whole_or_piece_by_piece(tmp_path: Path) -> None:
    engine = fake_engine(decoder=FakeDecoder("Grüße, 日本!"))
    with answering(engine, tmp_path / "s") as server, server.client() as client:
        whole = client.ask({"do": "generate", "id": 1, "question": "Where?", "max_tokens": 50})
        assert (whole["text"], whole["ended"]) == ("Grüße, 日本!", "stop-token")
        client.send({"do": "generate", "id": 2, "question": "Where?", "stream": True, "stop": "!"})
        lines = [client.read()]
        while "text" not in lines[-1]:
            lines.append(client.read())
        *pieces, last = lines
        assert "".join(piece["piece"] for piece in pieces) == last["text"] == "Grüße, 日本"
        assert {line["id"] for line in lines} == {2}


def test_answers_come_when_they_are_ready_and_letters_in_batches(tmp_path: Path) -> None:
    backend, decoder = SlowBackend(), FakeDecoder("here")
    with answering(fake_engine(backend, decoder), tmp_path / "s") as server, server.client() as client:
        client.send({"id": "letter", "question": "Which?"})
        assert backend.begun.wait(10)
        client.send(*({"id": number, "question": f"Question {number}?"} for number in range(34)))
        text = client.ask({"id": "text", "do": "generate", "question": "Where?"})
        assert (text["id"], text["text"]) == ("text", "here"), "though it was asked last"
        backend.may_go_on.set()
        found = {line["id"]: line["letter"] for line in (client.read() for _ in range(35))}
        alone = fake_engine(FakeBackend())
        assert found == {
            "letter": alone.ask("Which?").letter,
            **{number: alone.ask(f"Question {number}?").letter for number in range(34)},
        }
        assert (server.service.metrics.letters, server.service.metrics.batches) == (35, 3)


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        (b"{\n", "bad-request", "The line is no JSON"),
        (b"\xff\n", "bad-request", "The line is no JSON"),
        (b"[" * 100_000 + b"\n", "bad-request", "The line is no JSON"),
        (b"[]\n", "bad-request", "The line is an array, expected an object"),
        (b"x" * 1_000_001 + b"\n", "bad-request", "The line has more than 1,000,000 bytes"),
        (b"null\n", "bad-request", "The line is null, expected an object"),
        ({"id": 7}, "row", "'question' is None"),
        ({"id": 7, "question": " "}, "row", "expected some text"),
        ({"id": 7, "question": "Why?", "wat": 3}, "input", "Nothing reads wat"),
        ({"id": 7, "question": "Why?", "max_tokens": 3}, "input", "ask does not take max_tokens"),
        ({"id": 7, "question": "Why?", "blocks": 99}, "question", "Got 99 blocks"),
        ({"id": 7, "question": "why " * 5_000}, "question-too-long", "this bundle takes at most"),
        ({"id": 7, "do": "generate", "question": "Why?"}, "input", "answers with letters alone"),
        ({"id": 7, "do": "trace", "question": "Why?", "blocks": 1}, "input", "trace does not take blocks"),
        ({"id": 7, "do": "sing", "question": "Why?"}, "input", "do is 'sing', expected one of: ask, generate,"),
        ({"id": 7, "do": ["ask"], "question": "Why?"}, "input", "do is \"['ask']\", expected one of: ask,"),
        ({"id": 7, "do": "health", "question": "Why?"}, "input", "Nothing reads question: health takes nothing"),
        ({"id": 7, "do": "cancel", "question": "Why?"}, "input", "Nothing reads question, expected the id"),
        (b'{"do": "cancel"}\n', "input", "There is no id, expected the id of what is cancelled alone"),
        (b'{"id": NaN, "question": "Why?"}\n', "bad-request", "NaN is no number"),
        (b'{"id": 1e999, "question": "Why?"}\n', "bad-request", "1e999 is too large for a number"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(tmp_path: Path, line: Any, kind: str, words: str) -> None:
    with answering(fake_engine(FakeBackend()), tmp_path / "s") as server, server.client() as client:
        client.send(b"\n \n")
        found = client.ask(line)
        assert found["line"] == 3, "empty lines are counted"
        assert found.get("id") == (7 if isinstance(line, dict) else None)
        assert found["error"]["kind"] == kind
        assert words in found["error"]["message"]
        assert client.ask({"id": 8, "question": "Why?"})["letter"] in "ABCDEFGHIJ", "and the next one is answered"


def test_options_of_a_text_that_are_none_are_refused(tmp_path: Path) -> None:
    with (
        answering(fake_engine(decoder=FakeDecoder("Bonjour!")), tmp_path / "s") as server,
        server.client() as client,
    ):
        for options, words in (*WRONG_OPTIONS, ({"n": 10**9}, "Nothing reads n")):
            found = client.ask({"do": "generate", "question": "Where?", **options})
            assert found["error"]["kind"] == "input"
            assert words in found["error"]["message"]


def test_a_request_is_cancelled_by_its_id(tmp_path: Path) -> None:
    backend, decoder = SlowBackend(), SlowDecoder("x" * 400)
    with answering(fake_engine(backend, decoder), tmp_path / "s") as server, server.client() as client:
        client.send({"id": {"b": 2, "a": 1}, "do": "generate", "question": "Where?", "max_tokens": 400})
        client.send({"id": 2, "question": "Which?"})
        assert backend.begun.wait(10)
        client.send(
            {"id": {"a": 1, "b": 2}, "do": "cancel"}, {"id": "none", "do": "cancel"}, {"id": 2, "do": "cancel"}
        )
        lines = [client.read() for _ in range(5)]
        assert sorted(line["line"] for line in lines) == [1, 2, 3, 4, 5]
        by_line = {line["line"]: line for line in lines}
        assert [by_line[number]["cancelled"] for number in (3, 4, 5)] == [1, 0, 1]
        assert [by_line[number]["error"]["kind"] for number in (1, 2)] == ["cancelled", "cancelled"]
        backend.may_go_on.set()
        assert client.ask({"id": 3, "question": "Which?"})["id"] == 3
        assert server.service.load == (0, 0)


def test_more_than_may_wait_are_turned_away_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    backend, limits = SlowBackend(), Limits(waiting=2, seconds=1.0)
    with answering(fake_engine(backend), tmp_path / "s", limits) as server, server.client() as first:
        with server.client() as second, server.client() as third:
            first.send({"id": 0, "question": "First?"})
            assert backend.begun.wait(10)
            second.send(*({"id": number, "question": f"{number}?"} for number in (1, 2)))
            while server.service.load[0] < 2:
                time.sleep(0.01)
            assert third.ask({"id": 3, "question": "One more?"})["error"]["kind"] == "busy"
            for client in (first, second, second):
                assert client.read()["error"]["kind"] == "timeout"
        backend.may_go_on.set()
        assert first.ask({"id": 4, "question": "And now?"})["id"] == 4


def test_one_client_has_back_pressure_and_no_refusals(tmp_path: Path) -> None:
    """It may write any number of lines at once; those that are not read yet wait in the system."""
    backend, limits = SlowBackend(), Limits(waiting=8, lines=4)
    with answering(fake_engine(backend), tmp_path / "s", limits) as server, server.client() as client:
        client.send(*({"id": number, "question": f"Question {number}?"} for number in range(200)))
        assert backend.begun.wait(10)
        time.sleep(0.1)
        assert server.service.load[0] <= 4
        backend.may_go_on.set()
        assert {client.read()["id"] for _ in range(200)} == set(range(200))


def test_what_is_asked_before_the_last_line_is_answered(tmp_path: Path) -> None:
    """As a shell does: lines, the last one without its end, and then the end."""
    with answering(fake_engine(FakeBackend()), tmp_path / "s") as server, server.client() as client:
        client.send(b'\xef\xbb\xbf{"id": 1, "question": "Which?"}\r\n{"id": 2, "question": "Where?"}')
        client.socket.shutdown(socket.SHUT_WR)
        assert {client.read()["id"], client.read()["id"]} == {1, 2}
        assert client.rest() == b""


@pytest.mark.skipif(
    not hasattr(__import__("select"), "POLLRDHUP"), reason="only Linux tells that a reader is gone"
)
def test_a_client_that_vanishes_gives_its_text_up(tmp_path: Path) -> None:
    decoder = SlowDecoder("x" * 400)
    with answering(fake_engine(decoder=decoder), tmp_path / "s", Limits(texts=1)) as server:
        for streams in (True, False):
            with server.client() as client:
                client.send({"do": "generate", "question": "Where?", "max_tokens": 400, "stream": streams})
                while server.service.load[1] == 0:
                    time.sleep(0.01)
            began = time.monotonic()
            with server.client() as client:
                assert client.ask({"do": "generate", "question": "Where?", "max_tokens": 3})["text"] == "xxx"
            assert time.monotonic() - began < 20, "the 40 s of the first text are over sooner"
        assert server.service.load == (0, 0)


def test_a_client_that_reads_nothing_is_left_and_holds_up_nobody(tmp_path: Path) -> None:
    limits = Limits(texts=1, send_seconds=0.6)
    with answering(long_writer("x" * 8_000), tmp_path / "s", limits) as server, server.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        row = {"do": "generate", "question": "Where?", "max_tokens": 8_000, "stream": True}
        client.send(row, row)
        while server.service.load[1] == 0:
            time.sleep(0.001)
        for number in range(20):
            with server.client() as other:
                began = time.monotonic()
                assert other.ask({"id": number, "question": f"Question {number}?"})["id"] == number
                assert time.monotonic() - began < 2
        with server.client() as other:
            assert other.ask({"do": "generate", "question": "Where?", "max_tokens": 3})["text"] == "xxx"
        deadline = time.monotonic() + 10
        while server.service.load != (0, 0) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.service.load == (0, 0)
        told = client.rest()
        assert told.count(b"\n") < 16_000, "the connection was cut before the two texts were sent"


def test_half_a_line_is_not_waited_for(tmp_path: Path) -> None:
    limits = Limits(receive_seconds=0.4)
    with answering(fake_engine(FakeBackend()), tmp_path / "s", limits) as server, server.client() as client:
        time.sleep(0.6)
        assert client.ask({"id": 1, "question": "Why?"})["id"] == 1, (
            "a client may say nothing for as long as it likes"
        )
        client.send(b'{"id": 2, "ques')
        found = client.read()
        assert found["error"]["message"] == "The line did not end within 0.4 s. Send whole lines."
        assert client.rest() == b""


def test_several_clients_at_once_and_an_end_with_all_answers(tmp_path: Path) -> None:
    backend = SlowBackend()
    clients = []
    with answering(fake_engine(backend), tmp_path / "s") as server:
        for number in range(30):
            clients.append(server.client())
            clients[-1].send({"id": number, "question": f"Question {number}?"})
            assert backend.begun.wait(10)
        while server.service.load[0] < 29:
            time.sleep(0.01)
        backend.may_go_on.set()
    for number, client in enumerate(clients):
        assert client.read()["id"] == number
        assert client.rest() == b""
        client.__exit__()
    assert not (tmp_path / "s").exists()
