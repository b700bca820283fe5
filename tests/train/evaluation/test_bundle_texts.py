"""Texts of a bundle: what each way asks, and what is kept of the text. The decoder writes a given text."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from rim_runtime import Engine, FakeBackend, FakeDecoder
from rim_runtime.bundle.latent import Latent
from rim_runtime.errors import InputError
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.testing import byte_tokenizer, fake_engine

from rim_edge.evaluation.extraction import Mark
from rim_edge.evaluation.items import Item
from rim_edge.evaluation.readers.bundle_reader import BundleReader
from rim_edge.evaluation.way import Draws, Manner, Way

SUM = Item("How much is 9 and 9?", "18", "")
CHOICE = Item("Which?\nA: this\nB: that", "B", "AB")


def asked(text: str, manner: Manner, item: Item, blocks: int = 0):
    """Return the answer to an item, and the engine's manifest and decoder; its positions are few."""
    decoder = FakeDecoder(text)
    engine = fake_engine(FakeBackend([0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), decoder)
    reader = BundleReader(engine, Path(), manner)
    assert reader.refusal(item) is None
    assert decoder.prompts == [], "to look whether it can be asked, nothing is read"
    (found,) = reader.read([item], [None], range(blocks, blocks + 1))
    return found, engine.manifest, decoder


@pytest.mark.parametrize(
    ("way", "text", "mark"),
    [
        (Way.OPEN, "18 apples} and more", Mark.PREFIX),
        (Way.CHAIN, "9 + 9 = 18\n#### 18", Mark.RESULT),
        (Way.CHAIN, r"So it is \boxed{18}.", Mark.BOX),
        (Way.ZERO_SHOT, "It is 18.", Mark.BARE),
    ],
)
def test_an_answer_is_found_in_the_text(way: Way, text: str, mark: Mark) -> None:
    found, _, _ = asked(text, Manner(way, max_tokens=30), SUM)
    given = found.by_blocks[0]
    assert (given.answer, given.mark, given.cut) == ("18", mark, False)
    assert (given.first_ms, given.full_ms, given.probabilities) == (None, None, None)
    assert given.text == text


def test_open_answers_follow_blocks_and_prefix_the_others_the_bare_prompt() -> None:
    prompts = {}
    for way in (Way.OPEN, Way.CHAIN, Way.ZERO_SHOT):
        _, manifest, decoder = asked("18}", Manner(way, 9, "Be brief."), SUM, 2 if way is Way.OPEN else 0)
        (prompts[way],) = decoder.prompts
    contract = manifest.prompt
    bare = prompts[Way.CHAIN]
    assert bare[-len(contract.tail) :] == contract.tail
    assert prompts[Way.ZERO_SHOT] == bare
    assert prompts[Way.OPEN] == bare + 2 * contract.block + contract.prefix
    _, _, alone = asked("18}", Manner(Way.CHAIN, 9), SUM)
    assert len(bare) == len(alone.prompts[0]) + len("Be brief.\n\n"), "the fake's tokens are bytes"


def test_a_text_that_reaches_its_limit_is_cut() -> None:
    given = asked("one two three", Manner(Way.CHAIN, max_tokens=5, one_by_one=True), SUM)[0].by_blocks[0]
    assert (given.text, given.tokens, given.cut, given.answer) == ("one t", 5, True, "")
    assert 0 < given.first_ms <= given.full_ms


def test_a_row_with_letters_may_be_written_or_read() -> None:
    written = asked("xB}", Manner(Way.OPEN), CHOICE)[0]
    assert (written.by_blocks[0].answer, written.by_blocks[0].text) == ("B", "xB}")
    read, manifest, decoder = asked("xB}", Manner(), CHOICE, 3)
    assert (read.by_blocks[3].answer, read.by_blocks[3].text) == ("B", None)
    assert read.first_is_letter is False, "the likeliest token is an x"
    contract = manifest.prompt
    assert decoder.prompts[0][-len(contract.prefix) :] == contract.prefix


def test_samples_are_drawn_beside_the_likeliest() -> None:
    found, _, _ = asked("18}", Manner(Way.OPEN, draws=Draws(3)), SUM)
    assert found.by_blocks[0].samples == ("18",) * 3


def test_what_has_no_room_is_refused_before_anything_is_written() -> None:
    reader = BundleReader(fake_engine(decoder=FakeDecoder("18")), Path(), Manner(Way.CHAIN, max_tokens=10**6))
    assert reader.refusal(SUM) == (
        "so long that an answer of 1,000,000 tokens (--max-tokens) does not fit behind it"
    )


def latent_engine(decoder: FakeDecoder) -> Engine:
    """An engine whose model takes two latent steps, behind a prompt with an instruction."""
    plain = fake_engine(decoder=decoder).manifest
    bare = dataclasses.replace(plain.prompt, block=(), blocks=0, prefix=(), prefix_text="")
    latent = dataclasses.asdict(Latent(steps=2, prompt=bare, instruction="Solve it.\n\n"))
    optional = {**plain.optional, "latent": json.loads(json.dumps(latent))}
    manifest = dataclasses.replace(plain, optional=optional)
    encoder = PromptEncoder(plain.prompt, byte_tokenizer(), plain.limits.question_tokens)
    return Engine(manifest, encoder, FakeBackend(), open_decoder=lambda cancel: decoder)


def test_latent_steps_are_those_that_the_bundle_says_and_no_other_way_takes_them() -> None:
    prompts = {}
    for way in (Way.LATENT, Way.ZERO_SHOT):
        decoder = FakeDecoder("#### 18")
        reader = BundleReader(latent_engine(decoder), Path(), Manner(way, max_tokens=12))
        assert reader.refusal(SUM) is None
        (found,) = reader.read([SUM], [None], range(1))
        assert (found.by_blocks[0].answer, found.by_blocks[0].mark) == ("18", Mark.RESULT)
        (prompts[way],) = decoder.prompts
    assert len(prompts[Way.LATENT]) == len(prompts[Way.ZERO_SHOT]) + len("Solve it.\n\n")


def test_latent_steps_need_a_bundle_that_takes_them() -> None:
    with pytest.raises(InputError, match="takes no latent steps"):
        BundleReader(fake_engine(decoder=FakeDecoder("18")), Path(), Manner(Way.LATENT))
    with pytest.raises(InputError, match="answers with letters alone, and --as open needs one that writes text"):
        BundleReader(fake_engine(), Path(), Manner(Way.OPEN))
