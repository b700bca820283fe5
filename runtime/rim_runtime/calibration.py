"""How sure a bundle's letters are, fitted on questions with known answers: a temperature, a threshold for sets.

A calibration belongs to one bundle (its manifest's hash), one precision and one number of memory blocks, and is
kept in the home folder. It holds for questions like those that it was fitted on; other questions void it, and
nothing tells.

Sources: temperature scaling (Guo et al. 2017, arXiv 1706.04599), split conformal prediction (Angelopoulos and
Bates 2021, arXiv 2107.07511).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from rim_runtime.bundle.manifest import Manifest, Precision
from rim_runtime.errors import InputError, RimError, StorageError
from rim_runtime.machine.folders import calibrations_file
from rim_runtime.machine.json_files import read_json
from rim_runtime.machine.storage import storage_errors, write_file

_SCHEMA_VERSION = 1
_LEAST = 1e-12
"""The smallest probability that a logarithm is taken of."""


@dataclass(frozen=True)
class Calibration:
    """What was fitted."""

    temperature: float
    """What logits are divided by, above 0; above 1 it makes a model less sure."""
    coverage: float
    """How often a set of letters is to hold the right one, 0 to 1."""
    threshold: float
    """A letter is in the set if 1 - its calibrated probability is at most this."""
    blocks: int
    """Memory blocks with which it was fitted."""
    questions: int
    """How many it was fitted on."""
    data: str
    """The name of their file."""
    data_sha256: str
    """Its hash."""

    def probabilities(self, given: Mapping[str, float]) -> dict[str, float]:
        """Return the calibrated probabilities of letters, from an answer's own; they sum to 1."""
        return at_temperature(given, self.temperature)

    def letters(self, given: Mapping[str, float]) -> tuple[str, ...]:
        """Return the letters among which the right one is, as often as `coverage` says; the likeliest always."""
        return likely_letters(self.probabilities(given), self.threshold)


def at_temperature(given: Mapping[str, float], temperature: float) -> dict[str, float]:
    """Return probabilities whose logits were divided by a temperature; they sum to 1."""
    logits = {letter: math.log(max(share, _LEAST)) / temperature for letter, share in given.items()}
    top = max(logits.values())
    weights = {letter: math.exp(value - top) for letter, value in logits.items()}
    total = sum(weights.values())
    return {letter: weight / total for letter, weight in weights.items()}


def likely_letters(shares: Mapping[str, float], threshold: float) -> tuple[str, ...]:
    """Return the letters with 1 - p of at most the threshold, the likeliest first and always among them."""
    first, *others = sorted(shares, key=lambda letter: -shares[letter])
    return (first, *(letter for letter in others if 1 - shares[letter] <= threshold))


def find_calibration(manifest: Manifest, precision: Precision, blocks: int) -> Calibration | None:
    """Return the calibration of a bundle's answers here; None without one, or where there is no home folder.

    Raises InputError for a damaged file, and for one of a later release.
    """
    try:
        found = _read().get(_key(manifest, precision, blocks))
    except StorageError:  # nothing can be kept here, so nothing is
        return None
    return None if found is None else _calibration(found)


def keep_calibration(manifest: Manifest, precision: Precision, found: Calibration) -> None:
    """Keep a calibration from now on, in the place of an earlier one. Raises InputError and StorageError."""
    key = _key(manifest, precision, found.blocks)
    _write({**_read(), key: {"bundle": manifest.name, **dataclasses.asdict(found)}})


def forget_calibrations(manifest: Manifest) -> int:
    """Forget all calibrations of a bundle, and return how many there were. Raises InputError and StorageError."""
    known = _read()
    kept = {key: value for key, value in known.items() if not key.startswith(f"{manifest.sha256} ")}
    if len(kept) < len(known):
        _write(kept)
    return len(known) - len(kept)


def set_aside_damaged() -> Path | None:
    """Rename a damaged file, so that there can be a new one; return its new path, None where it is not damaged.

    Raises InputError for a file of a later release, and StorageError.
    """
    if not _is_damaged():
        return None
    file = calibrations_file()
    endings = chain(("",), map("-{}".format, count(2)))
    copy = next(copy for end in endings if not (copy := file.with_name(f"{file.name}.damaged{end}")).exists())
    with storage_errors(copy):
        file.replace(copy)
    return copy


def _is_damaged() -> bool:
    try:
        _parse()
    except RimError:
        raise
    except (ValueError, KeyError, TypeError):
        return True
    except OSError:  # there is none, or it cannot be reached
        return False
    return False


def _key(manifest: Manifest, precision: Precision, blocks: int) -> str:
    return f"{manifest.sha256} {precision} {blocks}"


def _calibration(found: Mapping[str, Any]) -> Calibration:
    try:
        values = {field.name: found[field.name] for field in dataclasses.fields(Calibration)}
        made = Calibration(**values)
        numbers = (made.temperature, made.coverage, made.threshold)
        if not (all(map(math.isfinite, numbers)) and made.temperature > 0 and 0 < made.coverage < 1):
            raise ValueError("values that no calibration has")
        if type(made.questions) is not int or not isinstance(made.data, str):
            raise ValueError("a calibration without questions")
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(error) from None
    return made


def _read() -> dict[str, Any]:
    try:
        return _parse()
    except RimError:
        raise
    except OSError:  # there is none, or it cannot be reached
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(error) from None


def _write(known: Mapping[str, Any]) -> None:
    body = json.dumps({"schema_version": _SCHEMA_VERSION, "calibrations": dict(known)}, indent=1)
    write_file(calibrations_file(), body + "\n")


def _parse() -> dict[str, Any]:
    body = read_json(calibrations_file())
    if isinstance(version := body["schema_version"], int) and version > _SCHEMA_VERSION:
        raise InputError(
            f"{calibrations_file()} has schema version {version}, this release of rim-edge reads "
            f"{_SCHEMA_VERSION}. Upgrade rim-edge, or move the file away and make the calibrations again: "
            "rim-edge calibrate FILE"
        )
    if not isinstance(body["calibrations"], dict):
        raise ValueError("'calibrations' is no object")
    return dict(body["calibrations"])


def _damaged(error: Exception) -> InputError:
    return InputError(
        f"{calibrations_file()} cannot be read ({error!r}), expected the calibrations of bundles. Make them "
        "again: rim-edge calibrate FILE"
    )
