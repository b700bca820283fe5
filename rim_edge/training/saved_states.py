"""Saved training states on disk: written whole, checked before they are used, and locked while a run uses them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rim_runtime.bundle.folder import sha256_file
from rim_runtime.errors import StorageError, TargetExistsError
from rim_runtime.machine.json_files import parse_json, read_json
from rim_runtime.machine.storage import clear_unfinished, new_folder, storage_errors
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rim_edge.errors import DamagedStateError, DivergedError, StoppedError
from rim_edge.model.checkpoint import require_finite, write_tensors
from rim_edge.training.identity import Identity
from rim_edge.training.lock import locked, refuse_locked
from rim_edge.training.state import Best, Plan, StageResult, TrainingState, what_learns

METRICS = "metrics.jsonl"
_WEIGHTS, _OPTIMIZER, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
_BEST = "best.safetensors"
"""The weights with the best score so far, which may be those of an earlier state."""
_SCHEMA = 2


@dataclass(frozen=True)
class FoundState:
    """A saved state whose files are what they were when they were written."""

    folder: Path
    """Its folder."""
    identity: Identity
    """The run that saved it."""
    state: TrainingState
    """The state, still without the optimizer's."""
    metrics: str
    """The rows of metrics.jsonl up to it."""
    notes: tuple[str, ...] = ()
    """What was damaged: newer states, rows of metrics."""


@dataclass(frozen=True)
class SavedStates:
    """The folder of a run's saved states."""

    folder: Path
    """`<out>.progress`."""

    @classmethod
    def beside(cls, out: Path) -> SavedStates:
        """Return the folder that belongs to an output."""
        return cls(out.with_name(f"{out.name}.progress"))

    @property
    def metrics(self) -> Path:
        """The rows of metrics, while the run goes on."""
        return self.folder / METRICS

    def latest(self) -> Path | None:
        """Return the last saved state, if there is one; it may be damaged."""
        return max(self.folder.glob("step-*"), default=None)

    def refuse_unfinished(self) -> None:
        """Raise TargetExistsError if there is a saved state, which a new run would lose."""
        if found := self.latest():
            refuse_locked(self.folder)
            raise TargetExistsError(
                f"{found} is a saved state of a run that was interrupted. Pass --resume to go on from there, "
                f"or delete {self.folder}."
            )

    def find(self) -> FoundState | None:
        """Return the last state whose files are whole; None where none was saved.

        Raises DamagedStateError if there are some and none is whole.
        """
        damages: list[str] = []
        for folder in sorted(self.folder.glob("step-*"), reverse=True):
            try:
                return _read(folder, tuple(f"{damage}; an earlier state is used" for damage in damages))
            except DamagedStateError as error:
                damages.append(str(error))
        if damages:
            raise DamagedStateError(
                f"{damages[0]}, and there is no other saved state. Restore the file from a copy, or delete "
                f"{self.folder} to begin anew."
            )
        return None

    @contextmanager
    def in_use(self) -> Iterator[tuple[str, ...]]:
        """Make and lock the folder of a run, and give a note on half-written states that were cleared away.

        The folder is removed when the block ends, and also when it fails before a state is saved; a killed process
        leaves it. Raises StorageError, and TargetExistsError while another run uses it.
        """
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder):
            left = self._clear_left()
            try:
                with storage_errors(self.folder):
                    yield left
            except BaseException:
                if self.latest() is None:
                    self._remove()
                raise
            self._remove()

    def save(self, state: TrainingState, weights: Mapping[str, Tensor], identity: Identity) -> None:
        """Write a state with its weights and the rows of metrics, then remove the earlier ones.

        A state between two stages, which is scored, comes after the one of its last step, which is not.
        Raises StorageError, and DivergedError for weights that are not finite; then the earlier ones are kept.
        """
        require_finite(weights)
        before = list(self.folder.glob("step-*"))
        target = self._unused(f"step-{state.done:08d}{'' if state.steps else '-scored'}")
        with new_folder(target) as work:
            write_tensors(work / _WEIGHTS, weights)
            write_tensors(work / _OPTIMIZER, _flat(state.optimizer))
            if state.best is not None:
                is_this = state.best.done == state.done
                _link(work / _WEIGHTS if is_this else _best_of(before, state.best), work / _BEST)
            shutil.copyfile(self.metrics, work / METRICS)
            (work / _STATE).write_text(_to_json(state, identity, work), encoding="utf-8")
        for folder in before:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Add to an error that ends a run where it can go on from, and how."""
        try:
            yield
        except (DivergedError, StoppedError, StorageError) as error:
            latest = self.latest()
            if latest is None:
                raise
            change = " and a lower learning_rate in the recipe" if isinstance(error, DivergedError) else ""
            raise type(error)(f"{error} The last state is {latest}: go on with --resume{change}.") from error

    def _unused(self, name: str) -> Path:
        """Return a path of this name, or the next one after it where a state has it: a damaged or rescored one."""
        names = [name, *(f"{name}-{number:02d}" for number in range(2, 100))]
        return next(path for path in map(self.folder.joinpath, names) if not path.exists())

    def _clear_left(self) -> tuple[str, ...]:
        """Remove what killed runs left half written, here and beside the output, and return a note on it."""
        left = [*clear_unfinished(self.folder.parent), *self.folder.glob(".*")]
        for path in left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        names = ", ".join(sorted(path.name for path in left))
        return (f"removed what a killed run left half written in {self.folder.parent}: {names}",) if left else ()

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def require_same_state(done: Sequence[int]) -> None:
    """Raise StorageError unless all processes begin after as many steps, given in the processes' order."""
    odd = next((number for number, steps in enumerate(done) if steps != done[0]), None)
    if odd is not None:
        raise StorageError(
            f"Process {odd} begins after {done[odd]:,} steps and the first one after {done[0]:,}, expected one "
            "saved state for all. Put --output on a disk that all machines of the run share."
        )


def restore(found: FoundState, model: torch.nn.Module) -> Mapping[int, Mapping[str, Tensor]]:
    """Give the model the saved weights, and return the optimizer's state. Raises DamagedStateError."""
    _give(model, found.folder / _WEIGHTS)
    return _nested(_tensors(found.folder / _OPTIMIZER))


def restore_best(saved: SavedStates, state: TrainingState, model: torch.nn.Module) -> None:
    """Give the model the weights of the best score, which was saved. Raises DamagedStateError."""
    assert state.best is not None
    _give(model, _best_of(saved.folder.glob("step-*"), state.best))


def _give(model: torch.nn.Module, path: Path) -> None:
    weights, learning = _tensors(path), what_learns(model)
    for name, parameter in learning.items():
        if name not in weights or weights[name].shape != parameter.shape:
            raise DamagedStateError(
                f"{path} has no {name} of the shape {list(parameter.shape)}, which this model "
                "learns: another release wrote it. Resume with that one, or begin anew."
            )
    with torch.no_grad():
        for name, parameter in learning.items():
            parameter.copy_(weights[name])


def _best_of(folders: Iterable[Path], best: Best) -> Path:
    """Return the file of the best weights, in the folder of any state that knows the same best score."""
    for folder in sorted(folders, reverse=True):
        with suppress(DamagedStateError):
            told = _body(folder / _STATE)
            if told["best"] is not None and told["best"]["done"] == best.done:
                return folder / _BEST
    raise DamagedStateError(
        f"The weights of the best score, after step {best.done:,}, are gone. Begin anew, or go on with keep = "
        '"last" in [scoring].'
    )


def _link(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the disk has no such names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _to_json(state: TrainingState, identity: Identity, folder: Path) -> str:
    """Return state.json: the state, the run, the files beside it, and the hash of all that."""
    files = (_WEIGHTS, _OPTIMIZER, METRICS, *([] if state.best is None else [_BEST]))
    body = {
        "schema": _SCHEMA,
        "run": identity.run,
        "eval": identity.scored_on,
        "finished": [asdict(result) for result in state.finished],
        "losses": state.losses,
        "steps": state.steps,
        "plans": [asdict(plan) for plan in state.plans],
        "best": state.best and asdict(state.best),
        "files": {name: [(folder / name).stat().st_size, sha256_file(folder / name)] for name in files},
    }
    return json.dumps({**body, "sha256": _hash(body)}, indent=2) + "\n"


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _read(folder: Path, notes: tuple[str, ...]) -> FoundState:
    """Read a state and check its files. Raises DamagedStateError, without a full stop, for what is not whole."""
    path = folder / _STATE
    body = _body(path)
    try:
        files = {name: (size, digest) for name, (size, digest) in body["files"].items()}
        state = TrainingState(
            tuple(_stage_result(result) for result in body["finished"]),
            tuple(body["losses"]),
            body["steps"],
            plans=tuple(
                Plan(one["since"], tuple(one["learning_rates"]), tuple(one["steps"])) for one in body["plans"]
            ),
            best=None if body["best"] is None else Best(**body["best"]),
        )
        identity = Identity(body["run"], body["eval"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedStateError(f"{path} is none of this release's ({error!r})") from None
    for name in (_WEIGHTS, _OPTIMIZER, *([] if state.best is None else [_BEST])):
        if damage := _damage(folder / name, *files[name]):
            raise DamagedStateError(f"{folder / name} is damaged: {damage}")
    metrics, note = _metrics(folder / METRICS, *files[METRICS])
    return FoundState(folder, identity, state, metrics, (*notes, *note))


def _body(path: Path) -> dict[str, Any]:
    try:
        body = read_json(path)
    except OSError as error:
        raise DamagedStateError(f"{path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise DamagedStateError(f"{path} is damaged: no JSON ({error})") from None
    if not isinstance(body, dict) or body.pop("sha256", None) != _hash(body):
        raise DamagedStateError(f"{path} is damaged: its content is not what its own SHA-256 says")
    if body.get("schema") != _SCHEMA:
        raise DamagedStateError(f"{path} has the schema {body.get('schema')!r}, expected {_SCHEMA}")
    return body


def _damage(path: Path, size: int, digest: str) -> str | None:
    """Return what is wrong with a file that had this size and SHA-256; None if nothing is."""
    try:
        found = path.stat().st_size
        if found != size:
            return f"it has {found:,} bytes, expected {size:,}"
        return None if sha256_file(path) == digest else "its SHA-256 is not the one in state.json"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def _metrics(path: Path, size: int, digest: str) -> tuple[str, tuple[str, ...]]:
    """Return the rows of metrics, as far as they are whole, and a note where some are not."""
    damage = _damage(path, size, digest)
    if damage is None:
        return path.read_text(encoding="utf-8"), ()
    rows: list[str] = []
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if not isinstance(parse_json(line), dict):
                break
            rows.append(line)
    except (OSError, ValueError):
        pass
    kept = f"its first {len(rows)} rows are kept" if rows else "no row of it is kept"
    return "".join(f"{row}\n" for row in rows), (f"{path} is damaged: {damage}; {kept}",)


def _stage_result(saved: Mapping[str, Any]) -> StageResult:
    return StageResult(**{**saved, **{key: tuple(saved[key]) for key in ("right", "right_letters")}})


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise DamagedStateError(f"{path} cannot be read ({error}). Restore it from a copy.") from None


def _flat(optimizer: Mapping[int, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{number}.{key}": value for number, values in optimizer.items() for key, value in values.items()}


def _nested(flat: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for name, value in flat.items():
        number, _, key = name.partition(".")
        state[int(number)][key] = value
    return dict(state)
