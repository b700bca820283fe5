"""docs/errors.md: each kind has a message as the code makes it, why it comes, and what to do.

That it has every kind, with its exit code, is compared in tests/cli/test_json.py.
"""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest
from rim_runtime import QuestionTooLongError, RimError, kind_of

import rim_edge.serving
from docs.messages import ROOT, messages, says
from rim_edge.recipe.bounds import SettingError
from rim_edge.serving.openai.fields import FieldError, read_options
from rim_edge.serving.refusals import RequestError, ServerKind, words_of
from rim_edge.serving.requests import read_object

PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^### (\S+)\n\n`\w+` `(\w+)`\n\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
PUT_TOGETHER = {"setting", "self-test", "variant-refused", "bad-request", "field", "timeout", "server-error"}
"""Kinds whose messages come from a function (bounds.py, selftest.py, refusal.py), or are not the first thing that
the error is made with (a server's): reading code misses both."""
SERVER = PAGE.partition("\n## A server's own\n")[2]
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


def test_every_kind_that_only_a_server_has_stands_in_its_section() -> None:
    for module in pkgutil.walk_packages(rim_edge.serving.__path__, "rim_edge.serving."):
        importlib.import_module(module.name)
    own = {kind_of(one.__new__(one)) for one in _below(RimError) if one.__module__.startswith("rim_edge.serving")}
    assert set(re.findall(r"^### (\S+)$", SERVER, re.M)) == {*ServerKind, *own}


def _below(kind: type[RimError]) -> set[type[RimError]]:
    return {kind}.union(*map(_below, kind.__subclasses__()))


def test_the_messages_of_a_server_are_the_ones_shown() -> None:
    with pytest.raises(FieldError) as refused:
        read_options({"n": 5000}, ())
    with pytest.raises(RequestError) as unread:
        read_object(b"null", "body")
    for error in (unread.value, refused.value, TimeoutError(), KeyError("x")):
        assert f"> {words_of(error)}\n" in SERVER
