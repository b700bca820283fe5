"""What rim_edge adds to rim_runtime's tree of errors.

InputError
├── DataError                           a row or file of training data cannot be used
├── CurriculumError                     a stage, preset or setting of a run cannot be used
└── SigningKeyError                     a key for signatures cannot be used
CheckError
├── DamagedStateError                   a saved training state is not what was written
└── SignatureError                      a bundle is not signed by whom it should be
UnavailableError
└── DeviceError                         there is no such device to train on here
RimError
├── DivergedError (ArithmeticError)     a loss, gradient or weight is infinite or not a number
├── OutOfMemoryError (MemoryError)      a pass needs more memory than there is
└── StoppedError                        a run was asked to stop, and can go on later
"""

from __future__ import annotations

from rim_runtime.errors import CheckError, InputError, RimError, UnavailableError


class DataError(InputError):
    """A row or file of training data cannot be used."""


class CurriculumError(InputError):
    """A stage, a preset or another setting of a run cannot be used."""


class DamagedStateError(CheckError):
    """A saved training state is not what was written."""


class DeviceError(UnavailableError):
    """There is no such device to train on here."""


class SigningKeyError(InputError):
    """A file is no key that bundles can be signed with, or signatures checked."""


class SignatureError(CheckError):
    """A bundle is not signed, not by this key, or its signature is over other files."""


class DivergedError(RimError, ArithmeticError):
    """A loss, a gradient or a weight is infinite or not a number."""


class StoppedError(RimError):
    """A run was asked to stop, and has done so between two steps."""


class OutOfMemoryError(RimError, MemoryError):
    """A pass needs more memory than there is."""


class BusyError(RimError):
    """A server has as many requests waiting as it may; this one was not begun, and may be made again."""
