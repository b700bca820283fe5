"""A letter from generated text: what the published model's own example reads, question for question."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import torch
from rim_export.questions import CALIBRATION_SET, CERTIFICATE_SET, read_questions
from rim_runtime import Ended, Engine, FakeDecoder, InputError, QuestionError, bare_letter
from rim_runtime.testing import byte_tokenizer, fake_engine

from tests.runtime.generate.writers import writing
from tests.text_bundle import TextBundle
from tests.text_bundle import text_bundle as text_bundle

CHOICES = ["this", "that"]
LETTER_IDS = dict(zip("ABCDEFGHIJ", byte_tokenizer().encode("ABCDEFGHIJ").ids, strict=True))


@pytest.mark.parametrize(
    ("written", "letter", "choice", "bare"),
    [
        ("B}. So", "B", "that", True),
        ("it is B!", "B", "that", False),
        ("}.\nIt is A", "I", None, False),
        ("C", "C", None, True),
        ("a, b or c", None, None, False),
        ("", None, None, False),
        ("12345678A", None, None, False),
    ],
)
def test_the_first_letter_of_eight_tokens_is_the_answer(
    written: str, letter: str | None, choice: str | None, bare: bool
) -> None:
    """A closed box ends nothing here, and a letter that is not offered counts."""
    decoder = FakeDecoder(written)
    engine = writing(decoder, letters=LETTER_IDS)
    answer = engine.generate_letter("Which?", CHOICES, blocks=2)
    assert (answer.letter, answer.choice, answer.bare) == (letter, choice, bare)
    assert (answer.generated.text, answer.generated.blocks) == (written[:8], 2)
    assert answer.generated.ended is (Ended.LIMIT if len(written) >= 8 else Ended.STOP_TOKEN)
    assert decoder.prompts[0][-11:] == engine.manifest.prompt.suffix(2)[-11:]
    assert bare_letter(answer.generated.tokens, LETTER_IDS) == (letter if bare else None)


def test_it_is_the_published_example_answer_for_answer(text_bundle: TextBundle) -> None:
    """The example: a chat of one question, blocks, prefix, `generate` of 8 tokens, the first of [A-J]."""
    texts = [row.text for file in (CERTIFICATE_SET, CALIBRATION_SET) for row in read_questions(file).asked[:50]]
    with Engine.load(text_bundle.path) as engine:
        contract, ends = engine.manifest.prompt, engine.manifest.optional["decoding"]["stop_ids"]
        read: Counter[str | None] = Counter()
        for number, text in enumerate(texts):
            blocks = number % 9
            chat = text_bundle.tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
            )
            ids = text_bundle.tokenizer.encode(chat, add_special_tokens=False)
            ids = torch.tensor([[*ids, *blocks * contract.block, *contract.prefix]])
            written = text_bundle.model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, eos_token_id=ends
            )[0, ids.shape[1] :]
            found = re.search("[A-J]", text_bundle.tokenizer.decode(written, skip_special_tokens=True))
            answer = engine.generate_letter(text, blocks=blocks)
            assert answer.letter == (found and found[0]), text
            read[answer.letter] += 1
    assert len(read) > 3, "they are told apart"


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(InputError, match="rim-edge export --answers text"):
        fake_engine().generate_letter("Which?", CHOICES)
    decoder = FakeDecoder("A")
    for question, choices, blocks, said in (
        ("", CHOICES, None, "empty"),
        ("Which?", CHOICES, 9, "9 blocks"),
        ("x" * 503, None, None, "an answer of 8 more does not fit"),
    ):
        with pytest.raises(QuestionError, match=said):
            fake_engine(decoder=decoder).generate_letter(question, choices, blocks=blocks)
    assert not decoder.prompts
