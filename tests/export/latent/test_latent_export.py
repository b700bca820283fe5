"""Checkpoints with latent steps: QThink's, CODI's and Coconut's contract, token for token as in transformers."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import rim_export
import torch
from rim_export.certification.latent import LatentProof
from rim_export.errors import CertificateError, CheckpointError
from rim_export.questions import CERTIFICATE_SET
from rim_export.settings import AnswerForm
from rim_runtime import Engine, InputError, QuestionError
from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.latent import PROJECTION, latent_of
from rim_runtime.bundle.manifest import Precision
from rim_runtime.bundle.roles import Ability, abilities
from rim_runtime.errors import BundleCorruptError
from torch import nn

from tests.export.conftest import TinyCheckpoint
from tests.export.families import FAMILIES
from tests.export.latent.latent_models import LatentCheckpoint, qthink_head, save_as_codi, save_pickled, say

QUESTIONS = ["Where is Ben?", "Tom has 3 apples and eats 2. How many are left?", "Name a colour."]
TOKENS = 24


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = CERTIFICATE_SET.read_text(encoding="utf-8").splitlines(keepends=True)
    file = tmp_path_factory.mktemp("questions") / "few.jsonl"
    file.write_text("".join(lines[:48]), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> TinyCheckpoint:
    return FAMILIES["qwen3"].build(tmp_path_factory.mktemp("qwen3") / "tiny")


def qthink(tiny: TinyCheckpoint) -> LatentCheckpoint:
    """A pickled head and nothing else: what the cards say in words is assumed."""
    head = qthink_head(32)
    save_pickled(head, tiny.path / "projection_head.pt")
    return LatentCheckpoint(tiny, head)


def codi(tiny: TinyCheckpoint) -> LatentCheckpoint:
    """Another inner width, a norm with a name, and tokens before and behind the steps."""
    head = qthink_head(32, 40)
    save_as_codi(head, tiny.path / "projection_head.safetensors")
    say(tiny.path, steps=3, begin=["<rim_m>", "<rim_b>"], end=["<rim_eb>", "<rim_m>"])
    return LatentCheckpoint(tiny, head, 3, ("<rim_m>", "<rim_b>"), ("<rim_eb>", "<rim_m>"), "")


def coconut(tiny: TinyCheckpoint) -> LatentCheckpoint:
    """No head: the state itself is read."""
    say(tiny.path, steps=4, begin=["<rim_b>"], end=["<rim_eb>"])
    return LatentCheckpoint(tiny, nn.Identity(), 4, ("<rim_b>",), ("<rim_eb>",), "")


STYLES: dict[str, Callable[[TinyCheckpoint], LatentCheckpoint]] = {
    "qthink": qthink,
    "codi": codi,
    "coconut": coconut,
}
Made = tuple[LatentCheckpoint, Path]


def export(checkpoint: Path, bundle: Path, few: Path, **chosen: Any) -> Path:
    options = {"precision": Precision.FP32, "max_flips": 1.0, "certify": few, "answers": AnswerForm.TEXT} | chosen
    return rim_export.export(checkpoint, bundle, rim_export.ExportOptions(**options)).bundle


def copied(tiny: TinyCheckpoint, folder: Path) -> TinyCheckpoint:
    return TinyCheckpoint(Path(shutil.copytree(tiny.path, folder)), tiny.model, tiny.tokenizer)


@pytest.fixture(scope="module")
def bundles(qwen3: TinyCheckpoint, few: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Return a checkpoint of a style and its bundle in fp32, each made once."""

    @cache
    def make(style: str) -> Made:
        folder = tmp_path_factory.mktemp(style)
        checkpoint = STYLES[style](copied(qwen3, folder / "checkpoint"))
        return checkpoint, export(checkpoint.tiny.path, folder / "bundle", few)

    return make


@pytest.fixture(params=list(STYLES))
def made(request: pytest.FixtureRequest, bundles: Callable[[str], Made]) -> Made:
    return bundles(request.param)


def test_the_text_is_that_of_the_cards_loop(made: Made) -> None:
    checkpoint, path = made
    with Engine.load(path) as engine:
        for question in QUESTIONS:
            text = engine.generate(question, max_tokens=TOKENS).result()
            assert list(text.tokens) == checkpoint.write(question, TOKENS)
            assert text.latent_steps == checkpoint.steps
            assert text.prompt_tokens == len(checkpoint.prompt(question))
        for steps in (0, 1, 9):
            text = engine.generate(QUESTIONS[1], latent_steps=steps, max_tokens=TOKENS).result()
            assert list(text.tokens) == checkpoint.write(QUESTIONS[1], TOKENS, steps)
            assert text.latent_steps == steps
        both = engine.sample(QUESTIONS[0], 2, max_tokens=TOKENS)
        assert [list(text.tokens) for text in both] == 2 * [checkpoint.write(QUESTIONS[0], TOKENS)]
        assert engine.ask("Which?", ["this", "that"]).letter in "AB"
    written = {tuple(checkpoint.write(QUESTIONS[1], TOKENS, steps)) for steps in (0, 1, checkpoint.steps)}
    assert len(written) == 3, "latent steps that change nothing would prove nothing"


def test_the_bundle_says_its_contract(made: Made) -> None:
    checkpoint, path = made
    bundle = Bundle.load(path)
    bundle.verify()
    found = latent_of(bundle.manifest)
    assert found is not None
    assert abilities(bundle.manifest) == (Ability.LETTER, Ability.TEXT, Ability.LATENT)
    assert (found.steps, found.instruction) == (checkpoint.steps, checkpoint.instruction)
    assert list(found.begin_ids) == checkpoint.ids(checkpoint.begin)
    assert list(found.end_ids) == checkpoint.ids(checkpoint.end)
    has_head = not isinstance(checkpoint.head, nn.Identity)
    assert (found.head == PROJECTION) == (path / PROJECTION).is_file() == has_head
    (certified,) = bundle.certificate()["text"]
    assert (certified["latent_steps"], certified["changed"]) == (checkpoint.steps, 0)


def test_a_head_that_was_altered_is_refused_and_letters_go_on(
    bundles: Callable[[str], Made], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(bundles("qthink")[1], tmp_path / "bundle"))
    file = path / PROJECTION
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with Engine.load(path) as engine:
        with pytest.raises(BundleCorruptError, match=r"projection_head.onnx was altered"):
            engine.generate("Where?")
        assert engine.ask("Which?", ["this", "that"]).letter


@pytest.mark.slow
def test_int8_is_certified_behind_the_checkpoints_own_steps(
    qwen3: TinyCheckpoint, few: Path, tmp_path: Path
) -> None:
    checkpoint = qthink(copied(qwen3, tmp_path / "checkpoint"))
    path = export(checkpoint.tiny.path, tmp_path / "bundle", few, precision=Precision.INT8)
    (certified,) = Bundle.load(path).certificate()["text"]
    assert certified["latent_steps"] == 6
    assert certified["changed"] - certified["near_ties"] <= 24
    with Engine.load(path) as engine:
        assert engine.generate(QUESTIONS[0], max_tokens=4).result().latent_steps == 6


def test_steps_that_are_not_the_checkpoints_are_refused(
    qwen3: TinyCheckpoint, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder that reads its states without the head."""
    checkpoint = qthink(copied(qwen3, tmp_path / "checkpoint"))
    follow = LatentProof.follow
    plain = lambda proof, *given: follow(LatentProof(proof.latent, lambda states: states, proof.vectors), *given)  # noqa: E731
    monkeypatch.setattr(LatentProof, "follow", plain)
    with pytest.raises(CertificateError, match=r"The decoder of fp32 writes .* of 96 tokens otherwise"):
        export(checkpoint.tiny.path, tmp_path / "bundle", few)
    assert not (tmp_path / "bundle").exists(), "nothing was written"


@pytest.mark.slow
def test_without_latent_steps_the_same_checkpoint_answers_as_a_chat(
    qwen3: TinyCheckpoint, few: Path, tmp_path: Path
) -> None:
    checkpoint = qthink(copied(qwen3, tmp_path / "checkpoint"))
    path = export(checkpoint.tiny.path, tmp_path / "bundle", few, latent_steps=0, blocks=0)
    assert abilities(Bundle.load(path).manifest) == (Ability.LETTER, Ability.TEXT)
    assert not (path / PROJECTION).exists()
    with Engine.load(path) as engine, pytest.raises(InputError, match="takes no latent steps"):
        engine.generate("Where?", latent_steps=3)


def wrong_size(tiny: TinyCheckpoint) -> None:
    save_pickled(qthink_head(16), tiny.path / "projection_head.pt")


def missing_token(tiny: TinyCheckpoint) -> None:
    say(tiny.path, steps=2, begin=["<bot>"])


def missing_head(tiny: TinyCheckpoint) -> None:
    say(tiny.path, steps=2, head="head.pt")


def head_elsewhere(tiny: TinyCheckpoint) -> None:
    say(tiny.path, steps=2, head="../head.pt")


@pytest.mark.parametrize(
    ("damage", "chosen", "said"),
    [
        (wrong_size, {}, "goes from 16 channels to 16 .*, the model has 32"),
        (missing_token, {}, "The tokenizer has no token '<bot>', which config.json names for the latent steps"),
        (missing_head, {}, "There is no projection head .*head.pt"),
        (head_elsewhere, {}, "expected a plain name"),
        (lambda tiny: say(tiny.path, steps=0), {}, "latent.steps is 0, expected a whole number of at least 1"),
        (lambda tiny: say(tiny.path, begin="<bot>"), {}, "latent.begin is '<bot>', expected a list of tokens"),
        (lambda tiny: say(tiny.path, step=6), {}, "expected the keys"),
        (qthink, {"projection_head": Path("nowhere.pt")}, "There is no projection head nowhere.pt"),
        (qthink, {"blocks": 2}, "takes latent steps in the place of memory blocks"),
        (qthink, {"latent_steps": 3000}, "the model has 2,048 positions"),
        (lambda tiny: None, {"instruction": "Go."}, "takes no latent steps, and it is for models that do"),
    ],
)
def test_what_cannot_be_exported_is_refused_at_once(
    qwen3: TinyCheckpoint, few: Path, tmp_path: Path, damage: Any, chosen: dict[str, Any], said: str
) -> None:
    tiny = copied(qwen3, tmp_path / "checkpoint")
    damage(tiny)
    with pytest.raises((CheckpointError, InputError), match=said):
        export(tiny.path, tmp_path / "bundle", few, **chosen)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"latent_steps": 6}, "latent_steps: this is for answers in text"),
        ({"answers": AnswerForm.TEXT, "latent_steps": -1}, "expected a whole number from 0"),
        ({"answers": AnswerForm.TEXT, "latent_steps": 0, "instruction": "Go."}, "nothing to project"),
        ({"answers": AnswerForm.TEXT, "latent_steps": 6, "blocks": 8}, "expected one of the two"),
    ],
)
def test_options_that_exclude_each_other_are_refused(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        rim_export.ExportOptions(**chosen)


def test_the_command_line_says_how_many_steps(
    run: Callable[..., Any], qwen3: TinyCheckpoint, few: Path, tmp_path: Path
) -> None:
    checkpoint = qthink(copied(qwen3, tmp_path / "checkpoint"))
    head = tmp_path / "elsewhere.pt"
    (checkpoint.tiny.path / "projection_head.pt").rename(head)
    path, source = str(tmp_path / "bundle"), str(checkpoint.tiny.path)
    common = ("-m", source, "-o", path, "--precision", "fp32", "--max-flips", "1", "--certify", str(few))
    given = ("--answers", "text", "--latent-steps", "5", "--projection-head", str(head))
    done = run("export", *common, *given)
    assert done.code == 0, done.err
    assert "assumed of QThink's cards instruction 'Solve the following math problem" in " ".join(done.err.split())
    asked = ("ask", QUESTIONS[1], "-b", path, "--max-tokens", "9")
    shown = run(*asked).out
    assert "· 5 latent steps ·" in shown
    body = run(*asked, "--latent-steps", "2", "--json").json
    assert (body["tokens"], body["latent_steps"]) == (checkpoint.write(QUESTIONS[1], 9, 2), 2)
    drawn = run(*asked, "--latent-steps", "2", "--samples", "2", "--temperature", "1", "--json").json["samples"]
    assert [text["latent_steps"] for text in drawn] == [2, 2]
    assert '"latent"' in run("bundle", "info", path, "--json").out
    with (
        Engine.load(path) as engine,
        pytest.raises(QuestionError, match="does not fit: the model has 2,048 positions"),
    ):
        engine.generate("Where?", latent_steps=2040, max_tokens=1)


@pytest.mark.slow
def test_a_hundred_real_questions_by_the_real_tokenizer(
    real_checkpoint: TinyCheckpoint, shared_data: Path, few: Path, tmp_path: Path
) -> None:
    """GSM8K, behind Qwen3's own template: its prompt ends where the answer begins, without a think part."""
    tiny = copied(real_checkpoint, tmp_path / "checkpoint")
    head = qthink_head(48)
    save_pickled(head, tiny.path / "projection_head.pt")
    checkpoint = LatentCheckpoint(tiny, head)
    path = export(tiny.path, tmp_path / "bundle", few)
    with gzip.open(shared_data / "gsm8k" / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        questions = [json.loads(line)["question"] for line, _ in zip(lines, range(100), strict=False)]
    assert tiny.tokenizer.decode(checkpoint.prompt(questions[0])).endswith("<|im_start|>assistant\n")
    with Engine.load(path) as engine:
        texts = [engine.generate(question, max_tokens=12).result() for question in questions]
    with torch.inference_mode():
        expected = [checkpoint.write(question, 12) for question in questions]
    assert [list(text.tokens) for text in texts] == expected
    assert len({text.tokens for text in texts}) > 20, "answers that are all the same would prove little"
