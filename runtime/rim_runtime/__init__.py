"""Ask a RiM bundle: numpy, tokenizers and an engine; never torch, never the network.

    from rim_runtime import Engine

    with Engine.load("bundle/") as engine:
        answer = engine.ask("Which vitamin deficiency causes scurvy?", ["Vitamin A", "Vitamin C"])
    answer.letter, answer.choice, answer.confidence

Importing it does nothing but import: ONNX Runtime comes with the first engine that is loaded.
"""

from rim_runtime.answer import Answer, Question
from rim_runtime.backends.fake import FakeBackend, FakeCall
from rim_runtime.backends.protocol import Backend
from rim_runtime.bundle import Bundle, GoldenQuestion
from rim_runtime.engine import Engine
from rim_runtime.engines import EngineName, EngineStatus, engine_statuses
from rim_runtime.errors import (
    BrokenLogitsError,
    BundleCorruptError,
    BundleNotFoundError,
    BundleVersionError,
    CheckError,
    EngineClosedError,
    EngineFailedError,
    EngineUnavailableError,
    InputError,
    MissingExtraError,
    QuestionError,
    QuestionTooLongError,
    RimError,
    SelfTestError,
    StorageError,
    TargetExistsError,
    UnavailableError,
)
from rim_runtime.manifest import Dialect, Head, Manifest, Precision
from rim_runtime.prompt import Prompt, PromptContract, PromptEncoder
from rim_runtime.use import Answers

__all__ = [
    "Answer",
    "Answers",
    "Backend",
    "BrokenLogitsError",
    "Bundle",
    "BundleCorruptError",
    "BundleNotFoundError",
    "BundleVersionError",
    "CheckError",
    "Dialect",
    "Engine",
    "EngineClosedError",
    "EngineFailedError",
    "EngineName",
    "EngineStatus",
    "EngineUnavailableError",
    "FakeBackend",
    "FakeCall",
    "GoldenQuestion",
    "Head",
    "InputError",
    "Manifest",
    "MissingExtraError",
    "Precision",
    "Prompt",
    "PromptContract",
    "PromptEncoder",
    "Question",
    "QuestionError",
    "QuestionTooLongError",
    "RimError",
    "SelfTestError",
    "StorageError",
    "TargetExistsError",
    "UnavailableError",
    "engine_statuses",
]
