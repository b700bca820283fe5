"""Every error that rim-edge raises on purpose.

RimError
├── InputError (ValueError)                 the caller's input cannot be used         exit 2
│   ├── QuestionError                       empty, not text, bad options, bad blocks
│   │   └── QuestionTooLongError            over the bundle's limit; nothing is ever cut
│   ├── RowError                            a row, or a file of rows, cannot be read
│   ├── BundleNotFoundError (FileNotFoundError)
│   └── TargetExistsError (FileExistsError) an output already exists
├── CheckError                              a check failed                            exit 3
│   ├── BundleVersionError                  this release does not read the manifest's schema
│   ├── BundleCorruptError                  truncated, altered or foreign files
│   └── SelfTestError                       golden questions answered differently here
├── UnavailableError (RuntimeError)         no such engine, device or extra here      exit 4
│   ├── MissingExtraError (ImportError)     an optional dependency is not installed
│   └── EngineUnavailableError              an engine cannot run here, and why
├── StorageError (OSError)                  the disk refused: full, read-only, gone   exit 1
├── CancelledError                          someone gave up: Cancellation.cancel      exit 1
└── EngineFailedError (RuntimeError)        an engine could not finish an answer      exit 1
    ├── BrokenLogitsError                   its logits are not all finite
    └── EngineClosedError                   it was asked after it had been closed

The exporter and the trainer derive their own errors from these. docs/errors.md has all of them, by `kind`.
"""

from __future__ import annotations

import re
from typing import ClassVar


class RimError(Exception):
    """Root of all errors raised on purpose; the message says what was found, what was expected and what to do."""

    exit_code: ClassVar[int] = 1
    """The exit code with which the command line ends; it belongs to a branch of the tree."""

    @property
    def kind(self) -> str:
        """The error's name for programs; it does not change: QuestionTooLongError is "question-too-long"."""
        return kind_of(self)

    def to_json(self) -> dict[str, int | str]:
        """Return what `--json` prints: `{"code": exit code, "kind": …, "message": …}`, notes included."""
        return error_to_json(self)


class InputError(RimError, ValueError):
    """Something the caller gave cannot be used."""

    exit_code = 2


class QuestionError(InputError):
    """The question, its choices or its number of blocks cannot be used."""


class QuestionTooLongError(QuestionError):
    """The question has more tokens than the bundle allows."""

    def __init__(self, tokens: int, limit: int, *, or_more: bool = False) -> None:
        """`or_more` says that `tokens` is a lower bound: the question was not encoded."""
        count = f"{tokens:,} tokens{' or more' if or_more else ''}"
        super().__init__(
            f"The question has {count}, this bundle takes at most {limit:,}. "
            "Shorten it; rim-edge never cuts a question."
        )
        self.tokens = tokens
        self.limit = limit


class RowError(InputError):
    """A row is no question that can be asked, its answer is none of its options, or its file cannot be read."""


class BundleNotFoundError(InputError, FileNotFoundError):
    """There is no bundle at that path or with that name."""


class TargetExistsError(InputError, FileExistsError):
    """The output already exists; nothing is overwritten."""


class CheckError(RimError):
    """A check failed: schema, hash, golden questions or certificate."""

    exit_code = 3


class BundleVersionError(CheckError):
    """The bundle's manifest has a schema version that this release does not read."""


class BundleCorruptError(CheckError):
    """The bundle's files are not what its manifest says."""


class SelfTestError(CheckError):
    """The golden questions were answered differently on this engine."""


class UnavailableError(RimError, RuntimeError):
    """Something needed is not on this machine."""

    exit_code = 4


class MissingExtraError(UnavailableError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, module: str, command: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs what is not installed here: {module}. Run: {command}")
        self.command = command


class EngineUnavailableError(UnavailableError):
    """An engine cannot run here."""


class StorageError(RimError, OSError):
    """The disk refused to read or write."""


class CancelledError(RimError):
    """A load or a question was given up by its caller."""

    def __init__(self) -> None:
        super().__init__("This was cancelled, so there is no result. Ask or load again with a new Cancellation.")


class EngineFailedError(RimError, RuntimeError):
    """An engine was running and could not finish an answer."""


class BrokenLogitsError(EngineFailedError):
    """An engine returned logits that are not all finite numbers: no letter can be read from them."""

    def __init__(self, engine: str, precision: str) -> None:
        super().__init__(
            f"{engine} at {precision} gave logits that are not finite numbers, so there is no answer. "
            "Try another precision, or export the bundle again."
        )


class EngineClosedError(EngineFailedError):
    """An engine was asked after it had been closed."""

    def __init__(self) -> None:
        super().__init__(
            "This engine is closed, expected an open one. Load it again, or ask inside its 'with' block."
        )


def kind_of(error: BaseException) -> str:
    """Return an error's class as programs read it: QuestionTooLongError is "question-too-long"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(error).__name__.removesuffix("Error")).lower()


def text_of(error: BaseException) -> str:
    """Return an error's message and what was noted on it, such as which of many questions it was."""
    return " ".join([str(error), *getattr(error, "__notes__", ())])


def error_to_json(error: BaseException) -> dict[str, int | str]:
    """Return any error, ours or not, as programs read it: `{"code": exit code, "kind": …, "message": …}`."""
    code = error.exit_code if isinstance(error, RimError) else 1
    return {"code": code, "kind": kind_of(error), "message": text_of(error)}
