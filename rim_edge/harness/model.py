"""The model `rim-edge` of lm-evaluation-harness. Importing this registers it.

It is a subclass of LM, not of TemplateLM: that one scores tokens behind tokens, and a RiM model's letter stands
behind its question, its memory blocks and its own answer prefix, which the runtime puts there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from rim_runtime import Engine, Question
from rim_runtime.bundle.roles import Ability, abilities
from rim_runtime.errors import InputError
from rim_runtime.generate.sampling import Sampling
from rim_runtime.prompt.contract import TextForm
from tqdm import tqdm

from rim_edge.harness.readout import Readout, by_context, log_shares, split_spaces

_MOST_TOKENS = 256
_HONOURED = frozenset({"until", "max_gen_toks", "do_sample", "temperature", "top_p"})


@register_model("rim-edge")
class BundleLM(LM):  # type: ignore[misc]  # the harness has no types
    """A bundle on an engine."""

    def __init__(
        self,
        bundle: str | None = None,
        engine: str = "auto",
        precision: str | None = None,
        blocks: int | None = None,
        readout: str = "letters",
        form: str = "model",
        cue: str = "",
        **harness: Any,
    ) -> None:
        """Load a bundle (`Engine.load`), by the `--model_args` of these names.

        `blocks` None: all memory blocks. `readout` and `form` (of generated text) are values of Readout and
        TextForm. `cue` is an ending of contexts that is left out, such as `Answer:`: the bundle has its own.
        The harness adds `batch_size` and `device`; the engine knows both by itself. Raises what `Engine.load`
        raises, and InputError.
        """
        super().__init__()
        unknown = sorted(set(harness) - {"batch_size", "max_batch_size", "device"})
        if unknown:
            raise InputError(
                f"--model_args has {unknown[0]}, expected bundle, engine, precision, blocks, readout, form or cue."
            )
        self._readout, self._form = _member(Readout, "readout", readout), _member(TextForm, "form", form)
        self._cue = cue
        self._engine = Engine.load(None if bundle is None else str(bundle), engine=engine, precision=precision)
        self._blocks = self._engine.manifest.prompt.check_blocks(
            self._engine.manifest.prompt.blocks if blocks is None else blocks
        )
        if self._readout is Readout.TEXT:
            self._require_text("readout=text")

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return of each request how likely its continuation is, and whether it is the likeliest.

        Letters: among the letters that the same context was asked for. Text: of all tokens.
        """
        asked = [one.args for one in requests]
        if self._readout is Readout.LETTERS:
            found = self._letters(asked, disable_tqdm)
        else:
            lengths: dict[str, int] = {}
            shown = tqdm(asked, "scoring", disable=disable_tqdm)
            found = [self._text(context, continuation, lengths) for context, continuation in shown]
        for one, value in zip(asked, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", one, value)
        return found

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Return how likely whole texts are, from their second token on. Raises InputError: letters are read."""
        if self._readout is Readout.LETTERS:
            raise InputError(
                "The task asks how likely whole texts are, and this bundle reads letters, expected readout=text "
                "and a bundle that writes text."
            )
        texts = [one.args[0] for one in requests]
        return [_sum(self._engine.score(text)[1:]) for text in tqdm(texts, "scoring", disable=disable_tqdm)]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Return a text behind each context, up to one of its stops. Raises InputError for unknown arguments."""
        self._require_text("this task, which asks for texts,")
        found = []
        for context, arguments in tqdm([one.args for one in requests], "writing", disable=disable_tqdm):
            text = self._write(context, arguments)
            self.cache_hook.add_partial("generate_until", (context, arguments), text)
            found.append(text)
        return found

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return none. Raises InputError where one is to be applied: a bundle has its own."""
        if chat_template:
            raise InputError(
                "--apply_chat_template is set, and a bundle applies its own template. Leave it out; texts as in a "
                "chat are --model_args form=chat"
            )
        return ""

    @property
    def tokenizer_name(self) -> str:
        """What the harness tells caches apart by."""
        return f"rim-edge {self._engine.manifest.sha256} {self._engine.precision} {self._blocks} {self._readout}"

    def _letters(self, asked: Sequence[tuple[str, str]], quiet: bool) -> list[tuple[float, bool]]:
        contexts = by_context(asked, tuple(self._engine.manifest.letters))
        # `()`: nothing in the text is taken for an option, the harness says which letters are offered
        questions = [Question(self._question(one.context), ()) for one in contexts]
        shares: dict[str, dict[str, float]] = {}
        answers = self._engine.ask_iter(questions, blocks=self._blocks)
        for place, answer in tqdm(answers, "asking", len(questions), disable=quiet):
            one = contexts[place]
            shares[one.context] = log_shares(answer.letter_logits, one.letters)
        return [_told(shares[context], continuation.strip()) for context, continuation in asked]

    def _text(self, context: str, continuation: str, lengths: dict[str, int]) -> tuple[float, bool]:
        """Score a continuation; `lengths` keeps how many tokens contexts have, as all choices share one."""
        context, continuation = split_spaces(self._question(context), continuation)
        if not context:
            raise InputError("The task asks for a text behind nothing, expected some context.")
        if context not in lengths:
            lengths[context] = len(self._engine.score(context))
        behind = self._engine.score(context + continuation, top=1)[lengths[context] :]
        return _sum(behind), all(one.id in one.top for one in behind)

    def _question(self, context: str) -> str:
        return context.rstrip().removesuffix(self._cue) if self._cue else context

    def _write(self, context: str, arguments: Mapping[str, Any]) -> str:
        if unknown := sorted(set(arguments) - _HONOURED):
            expected = ", ".join(sorted(_HONOURED))
            raise InputError(f"The task sets {unknown[0]} of its texts, expected {expected} alone (--gen_kwargs).")
        draws = bool(arguments.get("do_sample", arguments.get("temperature", 0) > 0))
        temperature = float(arguments.get("temperature", 1.0)) if draws else 0.0
        until = arguments.get("until") or []
        stream = self._engine.generate(
            Question(self._question(context), (), self._form),
            blocks=self._blocks if self._form is not TextForm.CHAT else None,
            max_tokens=int(arguments.get("max_gen_toks", _MOST_TOKENS)),
            stop=[until] if isinstance(until, str) else list(until),
            sampling=Sampling(temperature, float(arguments.get("top_p", 1.0))),
        )
        return stream.result().text

    def _require_text(self, what: str) -> None:
        if Ability.TEXT not in abilities(self._engine.manifest):
            raise InputError(
                f"The bundle {self._engine.bundle} answers with letters alone, and {what} needs one that writes "
                "text. Export it with: rim-edge export --answers text"
            )


def _sum(tokens: Sequence[Any]) -> float:
    return float(sum(one.logprob for one in tokens))


def _told(shares: Mapping[str, float], letter: str) -> tuple[float, bool]:
    return shares[letter], letter == max(shares, key=shares.__getitem__)


def _member(kind: type[Any], name: str, value: object) -> Any:
    try:
        return kind(value)
    except ValueError:
        expected = ", ".join(str(one) for one in kind)
        raise InputError(f"{name} is {value!r}, expected one of: {expected}.") from None
