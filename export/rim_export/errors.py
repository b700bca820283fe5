"""What the exporter adds to the error tree of rim_runtime.

InputError
├── CheckpointError                     the checkpoint cannot be exported
│   ├── CheckpointNotFoundError (FileNotFoundError)
│   └── UnsupportedModelError           an architecture or option that is not supported yet
└── CalibrationError                    the calibration questions cannot be used
CheckError
├── CertificateError                    a variant does not answer like the checkpoint
│   └── VariantRefusedError             too many letters changed, or too few are clear
├── HeadroomError                       its activations come too close to fp16's largest number
└── GraphRuleError                      a graph is not legal for the engine it was made for
UnavailableError
└── TargetError                         a GPU for which a precision cannot be built
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rim_runtime.errors import CheckError, InputError, UnavailableError


class CheckpointError(InputError):
    """The checkpoint cannot be exported as it is."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """There is no checkpoint at that path."""


class UnsupportedModelError(CheckpointError):
    """The checkpoint's architecture, or an option of it, is not supported."""


class CalibrationError(InputError):
    """There are too few calibration questions, or the checkpoint's activations on them are not finite."""


class CertificateError(CheckError):
    """A variant's answers differ from the checkpoint's by more than is allowed."""


class VariantRefusedError(CertificateError):
    """A variant changes too many letters, or leaves too few golden questions."""

    def __init__(self, message: str, trials: Sequence[Mapping[str, Any]]) -> None:
        """`trials` holds every attempt as in a report (certification/trials.py)."""
        super().__init__(message)
        self.trials = tuple(trials)


class HeadroomError(CheckError):
    """The checkpoint's activations come too close to fp16's largest number."""


class GraphRuleError(CheckError):
    """A graph breaks rules of the engine it was made for."""


class TargetError(UnavailableError):
    """A precision cannot be built for one of the GPUs named."""
