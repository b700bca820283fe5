"""`auto`: which engine it takes, what it remembers, and what it says. Engines with a stopped clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from rim_runtime import (
    Answers,
    Bundle,
    Engine,
    EngineFailedError,
    EngineName,
    EngineUnavailableError,
    InputError,
    MissingExtraError,
    RimError,
    SelfTestError,
)
from rim_runtime.bundle.manifest import Variant
from rim_runtime.engines import registry
from rim_runtime.engines.backend import Floats, Ints
from rim_runtime.engines.ort_cpu import OrtCpuBackend
from rim_runtime.libraries.onnxruntime import onnxruntime_version
from rim_runtime.libraries.openvino import openvino_version
from rim_runtime.loading import fallback, selftest

MakeBundle = Callable[..., Path]


@dataclass
class Rung:
    """How one engine behaves."""

    seconds: list[float]
    """Of each question in turn, from the first again after the last."""
    wrong: bool = False
    import_trouble: RimError | None = None
    open_trouble: RimError | None = None
    run_trouble: RimError | None = None
    opened: int = 0
    alive: int = 0


@dataclass
class Machine:
    """Two engines and a clock that only their answers move."""

    openvino: Rung
    ort_cpu: Rung
    now: float = 0.0
    alive_at_once: int = 0
    rungs: dict[EngineName, Rung] = field(init=False)

    def __post_init__(self) -> None:
        self.rungs = {EngineName.OPENVINO: self.openvino, EngineName.ORT_CPU: self.ort_cpu}

    def opens(self) -> tuple[int, int]:
        """How often each was opened since the last time."""
        counts = self.openvino.opened, self.ort_cpu.opened
        self.openvino.opened = self.ort_cpu.opened = 0
        return counts


class SlowBackend(OrtCpuBackend):
    """The tiny graph's answers, at a given pace."""

    def __init__(self, machine: Machine, name: EngineName, bundle: Bundle, variant: Variant) -> None:
        super().__init__(bundle, variant)
        self.name, self._machine, self._rung, self._asked = name, machine, machine.rungs[name], 0
        self.fingerprint = f"fake {name}"
        self._rung.opened += 1
        self._rung.alive += 1
        machine.alive_at_once = max(machine.alive_at_once, sum(rung.alive for rung in machine.rungs.values()))

    def run(self, question_ids: Ints, question_length: Ints, blocks: Ints) -> Floats:
        if self._rung.run_trouble:
            raise self._rung.run_trouble
        self._machine.now += self._rung.seconds[self._asked % len(self._rung.seconds)]
        self._asked += 1
        logits = super().run(question_ids, question_length, blocks)
        return -logits if self._rung.wrong else logits

    def close(self) -> None:
        self._rung.alive -= 1
        super().close()


Build = Callable[[Rung, Rung], Machine]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Build:
    """Make a machine of an openvino and an ort-cpu, both installed."""

    def make(openvino: Rung, ort_cpu: Rung) -> Machine:
        machine = Machine(openvino, ort_cpu)
        kinds = {
            name: registry._Entry(lambda: True, _version(rung), _opener(machine, name))
            for name, rung in machine.rungs.items()
        }
        monkeypatch.setattr(registry, "_ENTRIES", kinds)
        monkeypatch.setattr(registry, "is_installed", lambda name: name in machine.rungs)
        monkeypatch.setattr(selftest, "time", SimpleNamespace(perf_counter=lambda: machine.now))
        return machine

    return make


def _version(rung: Rung) -> Callable[[], str]:
    def version() -> str:
        if rung.import_trouble:
            raise rung.import_trouble
        return "1"

    return version


def _opener(machine: Machine, name: EngineName) -> Callable[..., SlowBackend]:
    def open_one(bundle: Bundle, variant: Variant, *_: object) -> SlowBackend:
        trouble = machine.rungs[name].open_trouble
        if trouble:
            raise trouble
        return SlowBackend(machine, name, bundle, variant)

    return open_one


def load(bundle: Path, **options: object) -> tuple[str, tuple[str, ...]]:
    """Return which engine auto took, and its notes."""
    with Engine.load(bundle, **options) as engine:  # type: ignore[arg-type]
        assert engine.ask("Why?").engine == engine.name
        return engine.name, engine.notes


def test_for_one_answer_the_last_rung_is_taken_unmeasured(build: Build, tiny_bundle: Path) -> None:
    machine = build(Rung([0.1]), Rung([0.3]))
    assert load(tiny_bundle, answers=Answers.ONE) == ("ort-cpu", ())
    assert machine.opens() == (0, 1)


def test_for_one_answer_a_broken_last_rung_is_stepped_over(build: Build, tiny_bundle: Path) -> None:
    build(Rung([0.1]), Rung([0.3], wrong=True))
    engine, notes = load(tiny_bundle, answers=Answers.ONE)
    assert engine == "openvino"
    assert any("auto stepped over ort-cpu" in note for note in notes)


@pytest.mark.parametrize(
    ("openvino", "ort_cpu", "taken"),
    [
        ([0.10], [0.20], "openvino"),
        ([0.20], [0.10], "ort-cpu"),
        ([0.47], [0.49], "ort-cpu"),  # a tie goes to the engine that the certificate was measured on
        ([0.001], [0.009], "ort-cpu"),  # and so does what nobody feels: it starts sooner
        ([0.1, 0.1, 0.1, 0.5], [0.2], "openvino"),  # one slow answer does not decide
    ],
)
def test_the_faster_is_taken_and_remembered(
    tiny_bundle: Path, build: Build, openvino: list[float], ort_cpu: list[float], taken: str
) -> None:
    machine = build(Rung(openvino), Rung(ort_cpu))
    name, (note,) = load(tiny_bundle)
    assert name == taken
    assert note.startswith(f"auto took {taken}: on 4 golden questions the median answer was openvino ")
    assert " ms, ort-cpu " in note
    assert note.endswith("gains too little for its slower start.") == (taken == "ort-cpu" and openvino < ort_cpu)
    assert machine.opens() == ((2, 1) if taken == "openvino" else (1, 2))
    assert machine.alive_at_once == 1, "they would disturb each other"
    assert load(tiny_bundle) == (taken, ())
    assert machine.opens() == ((1, 0) if taken == "openvino" else (0, 1))


def test_the_first_answer_warms_up_untimed(tiny_bundle: Path, build: Build) -> None:
    build(Rung([30.0, 0.1, 0.1, 0.1, 0.1, 0.1]), Rung([0.2]))
    name, (note,) = load(tiny_bundle)
    assert name == "openvino"
    assert "openvino 100.0 ms, ort-cpu 200.0 ms" in note


def test_both_share_one_budget_and_are_compared_on_the_same_questions(tiny_bundle: Path, build: Build) -> None:
    # In its 2.5 s openvino asks three questions, ort-cpu all four, of which the last would decide it.
    machine = build(Rung([1.0, 0.3, 0.3, 1.9]), Rung([1.0, 0.5, 0.5, 0.05, 0.05]))
    name, notes = load(tiny_bundle)
    assert name == "openvino"
    assert "on 3 golden questions the median answer was openvino 300.0 ms, ort-cpu 500.0 ms" in notes[0]
    assert notes[1] == "The self-test had time for 3 of 4 golden questions; all agreed."
    warm_ups, last_ask = 2.0, 1.0
    assert machine.now <= warm_ups + selftest.BUDGET_S + last_ask


def test_an_engine_that_fails_the_golden_questions_is_stepped_over(tiny_bundle: Path, build: Build) -> None:
    machine = build(Rung([0.1], wrong=True), Rung([0.2]))
    for opens in ((1, 2), (0, 1)):
        name, (note,) = load(tiny_bundle)
        assert name == "ort-cpu"
        assert note.startswith("auto stepped over openvino: ")
        assert "golden questions were answered differently here by openvino" in note
        assert machine.opens() == opens
    with pytest.raises(SelfTestError, match="by openvino at fp32"):
        Engine.load(tiny_bundle, engine="openvino")


def test_the_last_rung_can_be_stepped_over_too(tiny_bundle: Path, build: Build) -> None:
    build(Rung([0.2]), Rung([0.1], wrong=True))
    for _ in range(2):
        name, (note,) = load(tiny_bundle)
        assert name == "openvino"
        assert note.startswith("auto stepped over ort-cpu: ")


@pytest.mark.parametrize(
    ("rung", "told", "opens_later"),
    [
        (Rung([0.1], open_trouble=EngineUnavailableError("no such operator")), "no such operator", (0, 1)),
        (Rung([0.1], import_trouble=MissingExtraError("openvino", "pip", "It")), "not installed", (0, 2)),
        (Rung([0.1], run_trouble=EngineFailedError("out of memory")), "out of memory", (1, 2)),
    ],
)
def test_an_engine_that_cannot_run_is_stepped_over(
    tiny_bundle: Path, build: Build, rung: Rung, told: str, opens_later: tuple[int, int]
) -> None:
    """What may pass without a new version is tried again at every load; the rest is remembered."""
    machine = build(rung, Rung([0.2]))
    for _ in range(2):
        machine.opens()
        name, (note,) = load(tiny_bundle)
        assert (name, told in note) == ("ort-cpu", True)
    assert machine.opens() == opens_later


def test_where_none_works_the_last_rung_says_why(tiny_bundle: Path, build: Build) -> None:
    machine = build(Rung([0.1], open_trouble=EngineUnavailableError("no way")), Rung([0.1], wrong=True))
    with pytest.raises(SelfTestError, match="by ort-cpu at fp32") as caught:
        Engine.load(tiny_bundle)
    assert caught.value.__notes__ == ["openvino was tried before it: no way"]
    assert machine.ort_cpu.alive == 0


def test_the_callers_fault_is_no_reason_to_step_over(tiny_bundle: Path, build: Build) -> None:
    build(Rung([0.1], open_trouble=InputError("Got 0 threads")), Rung([0.1]))
    with pytest.raises(InputError, match="Got 0 threads"):
        Engine.load(tiny_bundle)


def test_it_measures_again_where_something_changed(
    tiny_bundle: Path, make_bundle: MakeBundle, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = build(Rung([0.1]), Rung([0.2]))
    load(tiny_bundle)
    load(tiny_bundle, threads=7)
    load(make_bundle("other", letters=4))
    assert machine.opens() == (6, 3)
    monkeypatch.setattr(fallback, "openvino_version", lambda: "9.9.9")
    load(tiny_bundle)
    assert machine.opens() == (2, 1)
    monkeypatch.setattr(fallback, "onnxruntime_version", lambda: "onnxruntime 9.9.9")
    load(tiny_bundle)
    assert machine.opens() == (2, 1)
    load(tiny_bundle)
    assert machine.opens() == (1, 0)


def test_a_remembered_engine_that_fails_now_is_measured_again(tiny_bundle: Path, build: Build) -> None:
    machine = build(Rung([0.1]), Rung([0.2]))
    load(tiny_bundle)
    machine.openvino.open_trouble = EngineUnavailableError("gone")
    assert load(tiny_bundle) == ("ort-cpu", ("auto stepped over openvino: gone",))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"finding": {"engine": "trt", "stepped_over": []}}', "\xff"])
def test_an_unreadable_choice_is_made_again(tiny_bundle: Path, build: Build, own_home: Path, content: str) -> None:
    machine = build(Rung([0.1]), Rung([0.2]))
    load(tiny_bundle)
    (record,) = (own_home / "cache" / "choices").iterdir()
    assert json.loads(record.read_text())["finding"] == {"engine": "openvino", "stepped_over": []}
    record.write_text(content, encoding="latin-1")
    machine.opens()
    load(tiny_bundle)
    assert machine.opens() == (2, 1)


def test_a_cache_that_cannot_be_written_is_said(
    tiny_bundle: Path, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RIM_EDGE_HOME", str(tmp_path / "file"))
    build(Rung([0.1]), Rung([0.2]))
    for _ in range(2):
        name, (why, cache) = load(tiny_bundle)
        assert name == "openvino"
        assert why.startswith("auto took openvino")
        assert "cannot be written" in cache


def test_one_installed_engine_is_taken_without_measuring(
    tiny_bundle: Path, build: Build, monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    machine = build(Rung([0.1]), Rung([0.2]))
    for only, opens in ((EngineName.OPENVINO, (1, 0)), (EngineName.ORT_CPU, (0, 1))):
        monkeypatch.setattr(registry, "is_installed", lambda name, only=only: name is only)
        assert load(tiny_bundle) == (only, ())
        assert machine.opens() == opens
    assert not (own_home / "cache" / "choices").exists()


def test_without_package_metadata_the_libraries_say_their_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a frozen application what was found about one release would be believed of the next."""

    def none(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    found = onnxruntime_version(), openvino_version()
    monkeypatch.setattr(metadata, "version", none)
    frozen = onnxruntime_version(), openvino_version()
    assert "unknown" not in frozen
    for told, itself in zip(found, frozen, strict=True):
        assert itself.partition("-")[0] in told or told in itself
