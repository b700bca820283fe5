"""Ask a RiM bundle: numpy, tokenizers and an engine; never torch, never the network.

    from rim_runtime import Engine

    with Engine.load() as engine:  # what `rim-edge ask` uses; a folder or a name picks another bundle
        answer = engine.ask("Which vitamin deficiency causes scurvy?", ["Vitamin A", "Vitamin C"])
    answer.letter, answer.choice, answer.confidence

The import has no other effect: ONNX Runtime is imported when the first engine is loaded.
"""

from rim_runtime.answer import Answer
from rim_runtime.bundle.folder import Bundle, GoldenQuestion
from rim_runtime.bundle.manifest import Dialect, Head, Manifest, Precision
from rim_runtime.bundle.roles import Ability, abilities
from rim_runtime.calibration import Calibration, find_calibration
from rim_runtime.engine import Engine
from rim_runtime.engines.backend import Answers, Backend
from rim_runtime.engines.cancellation import Cancellation
from rim_runtime.engines.names import EngineName
from rim_runtime.engines.registry import EngineStatus, engine_statuses
from rim_runtime.errors import (
    BrokenLogitsError,
    BundleCorruptError,
    BundleNotFoundError,
    BundleVersionError,
    CancelledError,
    CheckError,
    EngineClosedError,
    EngineFailedError,
    EngineUnavailableError,
    InputError,
    MissingExtraError,
    QuestionError,
    QuestionTooLongError,
    RimError,
    RowError,
    SelfTestError,
    StorageError,
    TargetExistsError,
    UnavailableError,
    kind_of,
)
from rim_runtime.generate.async_stream import AsyncTextStream
from rim_runtime.generate.readout import GeneratedAnswer, bare_letter
from rim_runtime.generate.sampling import Sampling
from rim_runtime.generate.stream import TextStream
from rim_runtime.generate.text import Ended, Text
from rim_runtime.progress import OnProgress, Progress, Stage
from rim_runtime.prompt.contract import Prompt, PromptContract
from rim_runtime.prompt.encoder import PromptEncoder
from rim_runtime.question import Question
from rim_runtime.rows.files import read_rows
from rim_runtime.rows.lines import parse_row
from rim_runtime.rows.row import Row, read_row
from rim_runtime.testing import FakeBackend, FakeCall, FakeDecoder
from rim_runtime.tracing.trace import FirstToken, Trace
from rim_runtime.version import __version__ as __version__

__all__ = [
    "Ability",
    "Answer",
    "Answers",
    "AsyncTextStream",
    "Backend",
    "BrokenLogitsError",
    "Bundle",
    "BundleCorruptError",
    "BundleNotFoundError",
    "BundleVersionError",
    "Calibration",
    "Cancellation",
    "CancelledError",
    "CheckError",
    "Dialect",
    "Ended",
    "Engine",
    "EngineClosedError",
    "EngineFailedError",
    "EngineName",
    "EngineStatus",
    "EngineUnavailableError",
    "FakeBackend",
    "FakeCall",
    "FakeDecoder",
    "FirstToken",
    "GeneratedAnswer",
    "GoldenQuestion",
    "Head",
    "InputError",
    "Manifest",
    "MissingExtraError",
    "OnProgress",
    "Precision",
    "Progress",
    "Prompt",
    "PromptContract",
    "PromptEncoder",
    "Question",
    "QuestionError",
    "QuestionTooLongError",
    "RimError",
    "Row",
    "RowError",
    "Sampling",
    "SelfTestError",
    "Stage",
    "StorageError",
    "TargetExistsError",
    "Text",
    "TextStream",
    "Trace",
    "UnavailableError",
    "abilities",
    "bare_letter",
    "engine_statuses",
    "find_calibration",
    "kind_of",
    "parse_row",
    "read_row",
    "read_rows",
]
