"""What every engine needs to know about the single-pass graph.

| tensor | type, shape |
| --- | --- |
| in `question_ids`, `question_length`, `blocks` | int64 [batch, length], [batch], [batch] |
| out `letter_logits` (head `letters`) | float32 [batch, letters] |
| out `logits` (head `full`) | float32 [batch, vocabulary]; the letters' columns are picked here |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rim_runtime.bundle.folder import Bundle
from rim_runtime.bundle.manifest import Head, Variant
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.errors import BundleCorruptError, EngineFailedError

CPU_BATCH_TOKENS = 512
"""One prompt alone keeps all cores busy; larger batches exceed the caches. Measured with int8, 1.7B, two cores:
of prompts of 152 tokens, 2 to 4 at once gain 3 % and 16 lose 3 %; of 64 tokens, 8 at once gain 22 %."""
INPUTS = ("question_ids", "question_length", "blocks")
OUTPUTS = {Head.LETTERS: "letter_logits", Head.FULL: "logits"}


@dataclass(frozen=True)
class Graph:
    """A variant's graph file and its interface."""

    path: str
    """The file's path."""
    output: str
    """Name of the output to read."""
    head: Head
    """What its columns are."""
    letter_ids: tuple[int, ...]
    """Token ids of the letters, in the manifest's order."""

    @classmethod
    def of(cls, bundle: Bundle, variant: Variant) -> Graph:
        """Describe the graph of a variant."""
        ids = tuple(bundle.manifest.letters.values())
        return cls(str(bundle.path / variant.graph), OUTPUTS[variant.head], variant.head, ids)

    def check_interface(self, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        """Raise BundleCorruptError unless these names and types (`int64`, `float32`) are those of our graphs."""
        if dict(inputs) != dict.fromkeys(INPUTS, "int64") or outputs.get(self.output) != "float32":
            raise BundleCorruptError(
                f"{self.path} has the inputs {dict(inputs)} and outputs {dict(outputs)}, expected int64 "
                f"{', '.join(INPUTS)} and float32 {self.output}. It is no rim-edge graph; export the bundle again."
            )

    def letters(self, logits: Floats, batch: int) -> Floats:
        """Return the letters' columns, float32 [batch, letters]. Raises BundleCorruptError if they are missing."""
        ids, columns = self.letter_ids, logits.shape[-1]
        fits = columns == len(ids) if self.head is Head.LETTERS else columns > max(ids)
        if not fits or logits.shape[:-1] != (batch,):
            raise BundleCorruptError(
                f"{self.path} gave logits of shape {logits.shape} for {batch} questions and {len(ids)} letters: "
                "it does not belong to this manifest. Export the bundle again."
            )
        return logits if self.head is Head.LETTERS else logits[:, list(ids)]


def run_failed(engine: str, question_ids: Ints, error: Exception) -> EngineFailedError:
    """Return the error of an engine that could not finish a batch."""
    rows, length = question_ids.shape
    return EngineFailedError(
        f"{engine} failed on {rows} questions of up to {length} tokens "
        f"({first_line(error)}). Ask fewer or shorter questions at once if memory is short."
    )


def forked(engine: str) -> EngineFailedError:
    """Return the error of an engine whose threads did not follow into a forked process."""
    return EngineFailedError(
        f"{engine} was loaded before this process was forked, and its threads do not follow into forks. Load "
        "ort-cpu in the new process, or start it by 'spawn' and load any engine there."
    )


def gpu_lost(engine: str, error: Exception) -> EngineFailedError:
    """Return the error of an engine whose GPU failed so that this process can use it no more."""
    return EngineFailedError(
        f"{engine} lost the GPU ({first_line(error)}): CUDA refuses all further work of this process. Start the "
        "program again; until then, load an engine of the CPU."
    )


def first_line(error: Exception) -> str:
    """Return the first line of a library's error, shortened."""
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
