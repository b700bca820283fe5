"""A chat template from a file, one that prints today's date, and a default system turn."""

from __future__ import annotations

from pathlib import Path

import pytest
from rim_export.checkpoint.folder import Checkpoint
from rim_export.checkpoint.prompt import RimSettings, derive_contract, template_ids
from rim_export.checkpoint.template import TEMPLATE_DATE, read_template, template_date, without_today
from rim_export.errors import CheckpointError

DATED = """{%- if strftime_now is defined %}
    {%- set today = strftime_now("%d %b %Y") %}
{%- else %}
    {%- set today = "never" %}
{%- endif %}
{%- if messages[0].role != "system" %}<|im_start|>system
Today is {{ today }}.<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}<|im_start|>assistant
"""
"""In the style of Llama 3.2: today's date, in a system turn that is there by default."""


def test_today_is_the_same_every_day_and_the_default_system_turn_stays(damaged: Path) -> None:
    tokenizer = Checkpoint.open(damaged).load_tokenizer(DATED)
    ids = template_ids(tokenizer, "Why?")
    assert "Today is 26 Jul 2024.<|im_end|>\n<|im_start|>user\nWhy?" in tokenizer.decode(ids)
    contract = derive_contract(tokenizer, RimSettings())
    assert "Today is 26 Jul 2024." in tokenizer.decode(contract.head)
    assert tokenizer.decode(ids).startswith("<|im_start|>system"), "the comment on the date prints nothing"
    assert template_date(tokenizer.chat_template) == str(TEMPLATE_DATE)
    assert template_date(without_today(tokenizer.chat_template)) == str(TEMPLATE_DATE), "frozen once is enough"


@pytest.mark.parametrize("sizes", [{"memory_tokens": 10**12}, {"blocks": 10**12}, {"blocks": 2**16}])
def test_blocks_have_bounds_before_any_memory_is_taken(sizes: dict[str, int]) -> None:
    with pytest.raises(CheckpointError, match=r"expected (a whole number of )?at most 131,072"):
        RimSettings(**sizes)


def test_a_template_without_a_date_is_left_as_it_is(damaged: Path) -> None:
    own = (damaged / "chat_template.jinja").read_text(encoding="utf-8")
    assert Checkpoint.open(damaged).load_tokenizer().chat_template == own
    assert template_date(own) is None


def test_a_date_in_a_computed_form_is_refused(damaged: Path) -> None:
    computed = DATED.replace('"%d %b %Y"', "form")
    with pytest.raises(CheckpointError, match=r"in a form that it computes, .*--template FILE"):
        Checkpoint.open(damaged).load_tokenizer(computed)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b" \n", "is empty"), (b"\xff\xfe\x00", "not UTF-8"), (b"GGUF", "is a GGUF file")],
)
def test_bad_template_files(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "chat.jinja"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CheckpointError, match=says):
        read_template(file)


def test_a_file_takes_the_place_of_no_template(damaged: Path, tmp_path: Path) -> None:
    (damaged / "chat_template.jinja").unlink()
    file = tmp_path / "chat.jinja"
    file.write_text("Question: {{ messages[0].content }}\nReply: ", encoding="utf-8")
    tokenizer = Checkpoint.open(damaged).load_tokenizer(read_template(file))
    contract = derive_contract(tokenizer, RimSettings())
    assert (contract.question_open, contract.question_close) == ("Question: ", "\nReply: ")
    assert contract.head == contract.tail == ()
