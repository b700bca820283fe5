"""Help pages, and the shell's completion: what they say comes from the code."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import EngineName, Precision

from docs.write_cli import CHECKS, PAGE, page, verbs
from rim_edge.cli.verbs import VERBS

Run = Callable[..., Any]
WIDTH = 80


PAGES = {words: (command, context) for words, command, context in verbs()}


def test_help_names_every_verb(run: Run) -> None:
    shown = run("--help")
    assert shown.code == 0
    for verb in VERBS:
        assert re.search(rf"^│ {verb} +\S", shown.out, re.MULTILINE)
    assert run("-h").out == shown.out


def test_a_page_of_several_verbs_cuts_nothing_short(run: Run) -> None:
    groups = {words.rpartition(" ")[0] for words in PAGES} - {""}
    assert groups
    for group in groups:
        shown = run(*group.split(), "--help")
        assert shown.code == 0
        assert not re.search(r"(\.\.\.|…) *│$", shown.out, re.MULTILINE), group
        for words in PAGES:
            if words.startswith(f"{group} "):
                assert re.search(rf"^│ {words.split()[-1]} +\S", shown.out, re.MULTILINE), words


@pytest.mark.parametrize("verb", PAGES)
def test_every_page(run: Run, verb: str) -> None:
    """Each option says what it is, choices come from the code, and two examples end it, at 80 columns."""
    shown = run(*verb.split(), "--help")
    assert shown.code == 0
    assert max(map(len, shown.out.splitlines())) <= WIDTH
    assert not re.search(r"<[a-z]", shown.out), "a type in typer's words"
    command, context = PAGES[verb]
    for option in command.get_params(context):
        assert option.help, option.name
        assert "default" not in option.help
        assert "_" not in "".join(option.opts[:1]).removeprefix("--") or option.param_type_name == "argument"
        assert option.param_type_name == "argument" or option.is_flag or option.metavar, option.name
        for choice in option.type_descriptor.choices or ():
            assert str(choice.value) in option.help, f"{option.name} does not list {choice}"
    assert "--json" in shown.out
    examples = re.findall(r"^ \$ (.*)$", shown.out, re.MULTILINE)
    assert len(examples) == 2
    assert all(f"rim-edge {verb}" in example for example in examples)


def test_the_page_in_docs_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make docs"
    assert set(CHECKS) == set(PAGES)


def test_one_word_means_one_thing() -> None:
    """An option that several verbs have has the same letter, the same kind of value and the same metavar."""
    seen: dict[str, set[tuple[Any, ...]]] = {}
    for words, (command, context) in PAGES.items():
        for option in command.get_params(context):
            if option.param_type_name == "option" and option.name != "help":
                (word,) = [name for name in option.opts if name.startswith("--")]
                letter = [name for name in option.opts if not name.startswith("--")]
                seen.setdefault(word, set()).add((*letter, option.metavar))
                assert words
    different = {word: forms for word, forms in seen.items() if len(forms) > 1}
    # `eval --blocks` takes a range of numbers: it scores one after another
    assert different == {"--blocks": {("N",), ("LOW..HIGH",)}}


@pytest.fixture
def complete(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """What bash offers after these words."""

    def offered(line: str) -> list[str]:
        words = f"rim-edge {line}".split(" ")
        monkeypatch.setenv("_RIM_EDGE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        return list(run().out.split())

    return offered


def test_completion(
    complete: Callable[[str], list[str]], make_bundle: Callable[..., Path], own_home: Path, demo_bundle: Path
) -> None:
    make_bundle("mine", own_home / "bundles")
    assert complete("") == list(VERBS)
    assert complete("de") == ["demo"]
    assert complete("ask --engine ") == list(EngineName)
    assert complete("ask --engine o") == ["ort-cpu", "openvino", "ort-cuda"]
    assert complete("export --precision ") == list(Precision)
    assert complete("ask --bundle ") == ["demo", "mine"]
    assert complete("bundle use m") == ["mine"]
    assert "--max-flips" in complete("export --max")
    assert "verify" in complete("bundle ")
    (own_home / "state.json").write_text("broken")
    assert complete("ask --bundle ") == ["demo", "mine"], "nobody to tell it to"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_RIM_EDGE_COMPLETE", f"source_{shell}")
    assert "_RIM_EDGE_COMPLETE" in run().out
    monkeypatch.delenv("_RIM_EDGE_COMPLETE")
    assert "--install-completion" in run("--help").out
