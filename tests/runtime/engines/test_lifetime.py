"""What happens to engines that are in use: closing waits, quitting ends cleanly, forks are refused or work."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rim_runtime import Engine, EngineClosedError, FakeBackend, Question
from rim_runtime.testing import fake_engine

from tests.apart import run_apart
from tests.places import DEMO_FOLDER, need

ENGINES = ("ort-cpu", "openvino")
QUITS = 6
"""Programs an engine; tried with 40 as well."""
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


class SlowBackend(FakeBackend):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def run(self, *given: Any) -> Any:
        self.started.release()
        assert self.go.acquire(timeout=30)
        assert not self.closed, "it was freed while it answered"
        return super().run(*given)


@pytest.fixture
def slow() -> SlowBackend:
    return SlowBackend()


def test_close_waits_for_questions_of_other_threads_and_refuses_new_ones(slow: SlowBackend) -> None:
    engine = fake_engine(slow)
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(engine.ask, "Which?")
        slow.started.acquire()
        closed = pool.submit(engine.close)
        while "closed" not in repr(engine):
            time.sleep(0.001)
        with pytest.raises(EngineClosedError):
            engine.ask("Another?")
        assert not closed.done()
        assert not slow.closed
        slow.go.release()
        assert asked.result().letter
        closed.result(timeout=30)
    assert slow.closed


def test_many_questions_are_one_run(slow: SlowBackend) -> None:
    """They are not lost at the next batch."""
    engine, questions = fake_engine(slow), [Question("x" * 400) for _ in range(3)]
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(engine.ask_many, questions)
        slow.started.acquire()
        closed = pool.submit(engine.close)
        slow.go.release(3)
        assert len(asked.result()) == 3
        closed.result(timeout=30)
    assert slow.closed


def test_between_two_answers_of_ask_iter_the_engine_may_be_closed() -> None:
    backend = FakeBackend()
    engine = fake_engine(backend)
    answers = engine.ask_iter([Question("x" * 400) for _ in range(3)])
    assert next(answers)[1].letter
    engine.close()
    assert backend.closed
    with pytest.raises(EngineClosedError):
        next(answers)


SIGNALLED = """
import signal
from rim_runtime import FakeBackend
from rim_runtime.testing import fake_engine

class Signalled(FakeBackend):
    def run(self, *given):
        signal.raise_signal(signal.SIGTERM)
        assert not self.closed
        return super().run(*given)

backend = Signalled()
engine = fake_engine(backend)
signal.signal(signal.SIGTERM, lambda *_: engine.close())
assert engine.ask("Which?").letter
assert backend.closed
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals to oneself")
def test_a_signals_handler_may_close_the_engine_that_its_thread_asks() -> None:
    run_apart(SIGNALLED)


QUIT = """
import os, sys, threading, time
from pathlib import Path
from rim_runtime import Engine, Question
engine, number = sys.argv[1], int(sys.argv[2])
opened = Engine.load(BUNDLE, engine=engine)
def ask():
    while True:
        opened.ask("Which?", ["this", "that"])
def ask_many():
    opened.ask_many([Question("why " * 40)] * 10_000)
def load():
    while True:
        Engine.load(BUNDLE, engine=engine).close()
closes = number % 4 == 3
for work in (ask, load, ask_many)[: 1 if closes else 1 + number % 3]:
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.02 * (number % 7))
if closes:
    opened.close()
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_program_that_quits_while_daemon_threads_work_ends_cleanly(
    engine: str, tiny_bundle: Path, own_home: Path
) -> None:
    """Without waiting at exit, each of these processes was aborted."""
    need(engine)
    Engine.load(tiny_bundle, engine=engine).close()  # the self-test is done

    def quit_once(number: int) -> tuple[int, str]:
        code = QUIT.replace("BUNDLE", repr(str(tiny_bundle)))
        done = subprocess.run(
            [sys.executable, "-c", code, engine, str(number)],
            env={**os.environ, "RIM_EDGE_HOME": str(own_home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        closed_early = number % 4 == 3  # then the threads end in an EngineClosedError, which Python prints
        return done.returncode, "" if closed_early else done.stderr

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(quit_once, range(QUITS))) == {(0, "")}


FORK = """
import os, signal, sys, threading
from rim_runtime import Engine, FakeBackend
from rim_runtime.testing import fake_engine

DEMO = sys.argv[1]

def in_fork(work):
    # what a forked process that ends as usual said of some work: its result or its error
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            said = str(work())
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    assert os.waitpid(child, 0)[1] == 0, "it hung"
    return text
"""

ASKS = """
def work():
    letters = {engine.ask("Which?", ["this", "that"]).letter for _ in range(20)}
    engine.close()  # freeing would wait for threads that did not follow
    return "".join(letters)

with Engine.load(DEMO, engine="ort-cpu", threads=2) as engine:
    expected = engine.ask("Which?", ["this", "that"]).letter
    assert in_fork(work) == expected
    assert engine.ask("Which?", ["this", "that"]).letter == expected
"""


@forks
def test_a_forked_process_asks_ort_cpu_and_closes_it() -> None:
    run_apart(FORK + ASKS, DEMO_FOLDER)


REFUSED = """
with Engine.load(DEMO, engine="openvino") as engine:
    told = in_fork(lambda: engine.ask("Which?"))
    assert told.startswith("EngineFailedError: openvino was loaded before this process was forked"), told
    told = in_fork(lambda: Engine.load(DEMO, engine="openvino"))
    assert told.startswith("EngineUnavailableError: openvino was imported before this process was"), told
    assert in_fork(lambda: Engine.load(DEMO, engine="ort-cpu").ask("Which?").engine) == "ort-cpu"
    assert engine.ask("Which?").letter
"""


@forks
def test_a_forked_process_is_refused_openvino() -> None:
    need("openvino")
    run_apart(FORK + REFUSED, DEMO_FOLDER)


BUSY = """
class Slow(FakeBackend):
    started, go = threading.Semaphore(0), threading.Semaphore(0)
    def run(self, *given):
        self.started.release()
        assert self.go.acquire(timeout=30)
        return super().run(*given)

slow, letters = Slow(), []
engine = fake_engine(slow)
asking = threading.Thread(target=lambda: letters.append(engine.ask("Which?").letter))
asking.start()
slow.started.acquire()
told = in_fork(lambda: engine.ask("Which?"))
assert told.startswith("EngineFailedError: This engine was answering while this process was forked"), told
assert in_fork(engine.close) == "None"
slow.go.release()
asking.join()
assert letters
"""


@forks
def test_an_engine_that_answered_during_the_fork_is_refused_there() -> None:
    run_apart(FORK + BUSY, DEMO_FOLDER)
