"""OpenAI's routes: letters with logprobs, texts, echo with logprobs; and what cannot be honoured, by its name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from rim_runtime import Engine, FakeBackend, FakeDecoder
from rim_runtime.testing import fake_engine

from tests.places import DEMO_FOLDER
from tests.serving.running import Server, running

ASKED = "Which vitamin prevents scurvy?\nA: Vitamin A\nB: Vitamin B\nC: Vitamin C"
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


@pytest.fixture(scope="module")
def demo() -> Iterator[Server]:
    with running(Engine.load(DEMO_FOLDER, engine="ort-cpu")) as server:
        yield server


@pytest.fixture(scope="module")
def writer() -> Iterator[Server]:
    with running(fake_engine(decoder=FakeDecoder("Bonjour!"))) as server:
        yield server


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "any", "messages": [{"role": "user", "content": text}], **more}


def test_models(demo: Server) -> None:
    assert [one["id"] for one in demo.get("/v1/models").json["data"]] == ["demo"]


def test_a_letter_has_the_log_probabilities_of_all_offered_ones(demo: Server) -> None:
    with Engine.load(DEMO_FOLDER, engine="ort-cpu") as engine:
        answer = engine.ask(ASKED)
    reply = demo.post(CHAT, said(ASKED, logprobs=True, top_logprobs=5, temperature=0, n=1))
    assert reply.status == 200
    (choice,) = reply.json["choices"]
    assert choice["message"]["content"] == answer.letter
    assert choice["finish_reason"] == "stop"
    (told,) = choice["logprobs"]["content"]
    assert {one["token"]: math.exp(one["logprob"]) for one in told["top_logprobs"]} == pytest.approx(
        dict(answer.probabilities)
    )
    assert told["token"] == answer.letter
    assert reply.json["rim"]["choice"] == answer.choice
    assert demo.post(CHAT, said(ASKED)).json["choices"][0]["logprobs"] is None
    few = demo.post(CHAT, said(ASKED, logprobs=True, top_logprobs=1)).json["choices"][0]["logprobs"]
    assert len(few["content"][0]["top_logprobs"]) == 1
    none = demo.post(CHAT, said(ASKED, rim={"blocks": 0})).json
    assert none["rim"]["probabilities"] != reply.json["rim"]["probabilities"]
    contract = demo.service.engine.manifest.prompt
    tokens, bare = (told["usage"]["prompt_tokens"] for told in (reply.json, none))
    assert tokens - bare == contract.blocks * len(contract.block) > 0
    assert reply.json["usage"] == {
        "prompt_tokens": tokens,
        "completion_tokens": 1,
        "total_tokens": tokens + 1,
    }


def test_a_text_comes_whole_streamed_or_several_times(writer: Server) -> None:
    whole = writer.post(CHAT, said("Bonjour?", max_tokens=20)).json
    assert whole["choices"][0]["message"]["content"] == "Bonjour!"
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["completion_tokens"] == 8
    cut = writer.post(CHAT, said("Bonjour?", max_completion_tokens=3)).json
    assert (cut["choices"][0]["message"]["content"], cut["choices"][0]["finish_reason"]) == ("Bon", "length")
    *chunks, done = writer.post(CHAT, said("Bonjour?", stream=True, stop=["!"])).events
    assert done == "[DONE]"
    deltas = [one["choices"][0]["delta"] for one in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "Bonjour"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    several = writer.post(CHAT, said("Bonjour?", n=3)).json["choices"]
    assert [(one["index"], one["message"]["content"]) for one in several] == [
        (number, "Bonjour!") for number in range(3)
    ]
    letter = writer.post(CHAT, said("Bonjour?", rim={"as": "letter"})).json
    assert letter["choices"][0]["message"]["content"] in "ABCDEFGHIJ"
    assert letter["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"], "the same prompt"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"logprobs": True}, "logprobs"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"n": 2, "stream": True}, "n"),
        ({"n": 1_001}, "n"),
        ({"n": 1_001, "rim": {"as": "letter"}}, "n"),
        ({"\ud800": 1}, "\\ud800"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stop": [3]}, "stop"),
        ({"rim": {"as": "song"}}, "rim"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "Be kind."}]}, "messages"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
    ],
)
def test_what_a_chat_cannot_honour_is_refused_by_name(writer: Server, more: dict[str, Any], param: str) -> None:
    reply = writer.post(CHAT, said("Bonjour?") | more)
    assert reply.status == 400
    error = reply.json["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert param in error["message"] or param == "rim"


def test_a_letter_is_neither_drawn_nor_streamed(demo: Server) -> None:
    for more, param in (({"stream": True}, "stream"), ({"temperature": 0.7}, "temperature"), ({"n": 2}, "n")):
        assert demo.post(CHAT, said(ASKED, **more)).json["error"]["param"] == param
    assert demo.post(CHAT, said(ASKED, top_logprobs=21, logprobs=True)).json["error"]["param"] == "top_logprobs"
    words = demo.post(CHAT, said("Bonjour?", rim={"as": "text"})).json["error"]["message"]
    assert "answers with letters alone" in words


def test_echo_and_logprobs_are_those_of_the_engine(writer: Server) -> None:
    """What an evaluation client sends to score an answer, and what it reads of it."""
    engine = fake_engine(decoder=FakeDecoder("Bonjour!"))
    scored = engine.score("Bon", more=1, top=2)
    reply = writer.post(
        COMPLETIONS, {"prompt": "Bon", "max_tokens": 1, "echo": True, "logprobs": 2, "temperature": 0}
    )
    assert reply.status == 200
    (choice,) = reply.json["choices"]
    assert choice["text"] == "".join(one.text for one in scored)
    told = choice["logprobs"]
    assert told["tokens"] == [one.text for one in scored]
    assert told["token_logprobs"] == [one.logprob for one in scored]
    assert told["token_logprobs"][0] is None and told["top_logprobs"][0] is None
    assert told["text_offset"] == [0, 1, 2, 3]
    assert all(len(one) == 2 for one in told["top_logprobs"][1:])
    assert reply.json["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    by_ids = writer.post(
        COMPLETIONS, {"prompt": [one.id for one in scored[:3]], "max_tokens": 1, "echo": True, "logprobs": 2}
    )
    assert by_ids.json["choices"][0]["logprobs"] == told
    bare = writer.post(COMPLETIONS, {"prompt": ["Bon", "B"], "max_tokens": 2}).json["choices"]
    assert [(one["index"], one["logprobs"], len(one["text"])) for one in bare] == [(0, None, 2), (1, None, 2)]
    nothing = writer.post(COMPLETIONS, {"prompt": "Bon", "max_tokens": 0, "echo": True, "logprobs": 0}).json
    assert nothing["choices"][0]["text"] == "Bon"
    assert len(nothing["choices"][0]["logprobs"]["token_logprobs"]) == 3


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {"text": "Bon"}}, "prompt"),
        ({"prompt": "Bon", "stream": True}, "stream"),
        ({"prompt": "Bon", "n": 2}, "n"),
        ({"prompt": "Bon", "n": 1_001}, "n"),
        ({"prompt": "Bon", "temperature": 0.5}, "temperature"),
        ({"prompt": "Bon", "best_of": 3}, "best_of"),
        ({"prompt": "Bon", "logprobs": 21}, "logprobs"),
        ({"prompt": "Bon", "wat": 21}, "wat"),
    ],
)
def test_what_a_completion_cannot_honour_is_refused_by_name(
    writer: Server, body: dict[str, Any], param: str
) -> None:
    reply = writer.post(COMPLETIONS, body)
    assert reply.status == 400
    assert reply.json["error"]["param"] == param


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPLETIONS, {"prompt": "Bo\ud800n"}),
        (COMPLETIONS, {"prompt": ["Bon", "Bo\ud800n"]}),
        (CHAT, said("Bo\ud800njour?")),
        (CHAT, said("Bo\ud800njour?", rim={"as": "letter"})),
        (CHAT, said("Bo\ud800njour?", n=2)),
    ],
)
def test_half_a_character_is_refused_as_a_question(writer: Server, path: str, body: dict[str, Any]) -> None:
    reply = writer.post(path, body)
    assert (reply.status, reply.json["error"]["code"]) == (400, "question")
    assert "is not valid Unicode at character 2" in reply.json["error"]["message"]


def test_a_letter_bundle_scores_no_text(demo: Server) -> None:
    reply = demo.post(COMPLETIONS, {"prompt": "Bon", "echo": True, "logprobs": 1, "max_tokens": 1})
    assert reply.status == 400
    assert "answers with letters alone" in reply.json["error"]["message"]


def test_an_error_of_an_unknown_route_has_openais_form() -> None:
    with running(fake_engine(FakeBackend())) as server:
        reply = server.post("/v1/embeddings", {})
        assert reply.status == 404
        assert reply.json["error"]["type"] == "invalid_request_error"
