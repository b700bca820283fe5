"""Chat templates that never end are refused by name; the others are none of the trial's business."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from rim_export.checkpoint import template_trial
from rim_export.checkpoint.template_trial import refuse_endless_template
from rim_export.errors import CheckpointError

TURN = "{{ messages[0]['content'] }}"
LOOP = "{% for x in range(100000) %}"
ENDLESS = {
    "loops for one turn": "{% if 'Why?' in messages[0]['content'] %}"
    + LOOP * 4
    + "{% endfor %}" * 4
    + "{% endif %}",
    "a number that cannot be interrupted": "{{ 9 ** (9 ** 9) }}" + TURN,
}
OTHERS = {
    "fails": "{{ raise_exception('no') }}",
    "generation": "{% generation %}" + TURN + "{% endgeneration %}",
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(template_trial, "SECONDS", 1.0)
    template_trial._ends.cache_clear()
    yield
    template_trial._ends.cache_clear()


def try_template(template: str) -> None:
    tokenizer = SimpleNamespace(get_chat_template=lambda: template, special_tokens_map={"eos_token": "<end>"})
    refuse_endless_template(tokenizer, ("question", "Why?"))


@pytest.mark.parametrize("name", ENDLESS)
def test_templates_without_an_end_are_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"does not end within 1 s .*Take the template of its base model"):
        try_template(ENDLESS[name])


@pytest.mark.parametrize("name", OTHERS)
def test_other_templates_pass(name: str) -> None:
    try_template(OTHERS[name])
