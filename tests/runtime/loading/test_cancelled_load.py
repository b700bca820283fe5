"""A load that is cancelled: which step ends at once, which goes on to its end; no engine comes of either."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper
from rim_runtime import Bundle, Cancellation, CancelledError, Engine, Progress, Stage
from rim_runtime.bundle import integrity
from rim_runtime.engines.ort_cpu import OrtCpuBackend
from rim_runtime.loading import selftest
from rim_runtime.machine import open_file

NODES = 4_000
"""As many as take ONNX Runtime 0.8 s to load, on two cores."""


class CancelledMeanwhile(Cancellation):
    """Is cancelled, by another thread, after the session began to be made."""

    began = False

    @contextmanager
    def calling(self, stop: Callable[[], None]) -> Iterator[None]:
        """Hand on, and cancel a moment later."""
        with super().calling(stop):
            self.began = True
            timer = threading.Timer(0.02, self.cancel)
            timer.start()
            yield
            timer.join()


def lengthen(graph: Path) -> None:
    """Put a long chain of nodes, none of which is folded away, behind a graph's output."""
    model = onnx.load(graph, load_external_data=False)
    (output,) = model.graph.output
    last = model.graph.node[-1]
    assert list(last.output) == [output.name]
    last.output[0] = "link0"
    for number in range(NODES):
        after = output.name if number == NODES - 1 else f"link{number + 1}"
        model.graph.node.append(helper.make_node("Sin", [f"link{number}"], [after]))
    onnx.save(model, graph)


def test_a_session_that_is_being_made_is_given_up(tiny_bundle: Path) -> None:
    """OrtCpuBackend looks at no cancellation after the session is made: the error shows that it never was."""
    bundle = Bundle.load(tiny_bundle)
    variant = bundle.manifest.variants[0]
    lengthen(tiny_bundle / variant.graph)
    OrtCpuBackend(bundle, variant).close()
    cancel = CancelledMeanwhile()
    with pytest.raises(CancelledError):
        OrtCpuBackend(bundle, variant, selftest.EngineOptions(cancel=cancel))
    assert cancel.began


def test_hashing_ends_within_a_file(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "HASH_EVERY_TIME", 0)
    monkeypatch.setattr(open_file, "_AT_ONCE", 8)
    cancel, steps = Cancellation(), []

    def progress(step: Progress) -> None:
        steps.append(step)
        if step.done == 16:
            cancel.cancel()

    with pytest.raises(CancelledError):
        Engine.load(tiny_bundle, progress=progress, cancel=cancel)
    last = steps[-1]
    assert (last.stage, last.done) == (Stage.HASH, 16)
    assert last.total is not None
    assert last.total > 24


def test_an_engine_that_opened_all_the_same_is_closed(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenVINO does, which compiles to the end; the golden questions, which would notice, were asked before."""
    Engine.load(tiny_bundle).close()
    cancel, opened = Cancellation(), []
    open_backend = selftest.open_backend

    def compiled(*given: Any) -> Any:
        opened.append(open_backend(*given))
        cancel.cancel()
        return opened[0]

    monkeypatch.setattr(selftest, "open_backend", compiled)
    with pytest.raises(CancelledError):
        Engine.load(tiny_bundle, cancel=cancel)
    assert opened[0]._session is None, "it is closed"
