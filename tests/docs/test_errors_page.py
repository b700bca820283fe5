"""docs/errors.md: each kind has a message as the code makes it, why it comes, and what to do.

That it has every kind, with its exit code, is compared in tests/cli/test_json.py.
"""

from __future__ import annotations

import re

import pytest
from rim_runtime import QuestionTooLongError

from docs.messages import ROOT, messages, says
from rim_edge.recipe.bounds import SettingError

PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^### (\S+)\n\n`\w+` `(\w+)`\n\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
PUT_TOGETHER = {"setting", "self-test", "variant-refused"}
"""Kinds whose messages come from a function (bounds.py, selftest.py, refusal.py), which reading code misses."""
SAID = messages()


@pytest.mark.parametrize(("kind", "name", "entry"), ENTRIES, ids=[kind for kind, _, _ in ENTRIES])
def test_an_entry_helps(kind: str, name: str, entry: str) -> None:
    message, why, advice = entry.strip().split("\n\n")
    shown = " ".join(line.removeprefix("> ") for line in message.splitlines())
    assert message.startswith("> ")
    assert any(says(template, shown) for template in SAID.get(name, [])) != (kind in PUT_TOGETHER), shown
    assert re.match(r"[A-Z].{20,}", why, re.S)
    assert advice.startswith("**Do:** ")


def test_every_kind_has_an_entry() -> None:
    assert len(ENTRIES) == len(re.findall("^### ", PAGE, re.M)) >= 37


def test_a_settings_message_is_the_one_shown() -> None:
    error = SettingError("curriculum", "batch_size", "-4", "a whole number of at least 1")
    assert f"> mine.toml: {error}\n" in PAGE


def test_messages_are_read_from_the_code() -> None:
    """A text with its numbers left open, and constants filled in."""
    (too_long,) = SAID["QuestionTooLongError"]
    assert says(too_long, str(QuestionTooLongError(9, 8)))
    assert not says(too_long, "The question has 9 tokens.")
    assert len(SAID["BundleCorruptError"]) > 30
    assert any("this release reads 1 (rim-edge …)" in text for text in SAID["BundleVersionError"])
