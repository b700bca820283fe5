"""Answer a large file of questions on several workers with Ray Data; a run that was stopped goes on where it was.

    pip install "rim-edge[cpu]" "ray[data]"
    python examples/ray/score.py questions.jsonl answers.jsonl --bundle mine --workers 2

A row in gives a line out, in the same order: its answer, or why it has none; a bad row stops nothing. Run the same
command again after a stop: rows that have their line are not asked again. On a cluster (`--address auto`) every
worker reads the questions and the bundle by these paths.
"""

import argparse
import contextlib
import hashlib
import itertools
import json
import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from rim_runtime import Engine, RimError, RowError, parse_row, read_row

PART = 128
"""Rows that a worker takes at once: batched by length, and asked again where a run was killed meanwhile."""


class Place(NamedTuple):
    """Where a row stands in the file: its line, its first byte, and the byte behind it."""

    line: int
    start: int
    end: int


class Scorer:
    """A worker: one engine, opened once, that answers part after part."""

    def __init__(self, questions: str, bundle: str | None, engine: str, threads: int) -> None:
        self.questions = questions
        self.engine = Engine.load(bundle, engine=engine, threads=threads)

    def __call__(self, part: dict[str, Any]) -> dict[str, list[str]]:
        """Answer the rows of one part of the file; return lines of JSON in the rows' order."""
        lines: dict[int, dict[str, Any]] = {}
        asked = {}
        for number, content in rows_of(self.questions, Place(*(int(part[key][0]) for key in Place._fields))):
            lines[number] = {"line": number}
            try:
                given = parse_row(text_of(content))
                if isinstance(given, dict) and "id" in given:
                    lines[number]["id"] = given["id"]
                question = read_row(given).question
                self.engine.check(question)
                asked[number] = question
            except RimError as error:
                lines[number]["error"] = error.to_json()
        for number, answer in zip(asked, self.engine.ask_many(list(asked.values())), strict=True):
            told = asdict(answer)
            del told["latency_ms"]  # so that the same run gives the same file
            lines[number] |= told
        return {"answer": [json.dumps(line, ensure_ascii=False) for line in lines.values()]}


def places_of(file: Path) -> Iterator[Place]:
    """Give the places of a file's rows; empty lines are none."""
    with file.open("rb") as content:
        for line in itertools.count(1):
            start = content.tell()
            text = content.readline()
            if not text:
                return
            if text.strip():
                yield Place(line, start, content.tell())


def parts_of(file: Path, done: int) -> Iterator[dict[str, int]]:
    """Give the parts behind the rows that are done: a part's first line, and where it lies."""
    left = itertools.islice(places_of(file), done, None)
    while rows := list(itertools.islice(left, PART)):
        yield Place(rows[0].line, rows[0].start, rows[-1].end)._asdict()


def rows_of(file: str, part: Place) -> Iterator[tuple[int, bytes]]:
    """Give the rows of a part, with the numbers of their lines."""
    with Path(file).open("rb") as content:
        content.seek(part.start)
        for line in itertools.count(part.line):
            if content.tell() >= part.end:
                return
            if (text := content.readline()).strip():
                yield line, text


def text_of(content: bytes) -> str:
    """Return a row as text. Raises RowError."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RowError(f"not UTF-8 at byte {error.start:,} of it. Convert it.") from None


def finished(answers: Path) -> int:
    """Return how many rows have a whole line; what a killed run wrote of another one is cut off."""
    if not answers.exists():
        return 0
    whole = count = 0
    with answers.open("rb+") as content:
        for line in content:
            if line.endswith(b"\n"):
                whole, count = whole + len(line), count + 1
        content.truncate(whole)
    return count


def refuse_other_run(answers: Path, questions: Path, manifest_sha256: str) -> None:
    """Note beside the answers what they are of; end the program where they are of something else."""
    with questions.open("rb") as content:
        if content.peek(2)[:2] == b"\x1f\x8b" or content.peek(64).lstrip().startswith(b"["):
            sys.exit(
                f"error: {questions} is packed or a list, expected a row of JSON a line. Unpack or convert it."
            )
        rows = hashlib.file_digest(content, "sha256").hexdigest()
    if next(places_of(questions), None) is None:
        sys.exit(f"error: {questions} has no rows, expected a row of JSON a line.")
    about = {"questions_sha256": rows, "manifest_sha256": manifest_sha256}
    note = answers.with_name(f"{answers.name}.run.json")
    if note.exists():
        if json.loads(note.read_text(encoding="utf-8")) != about:
            sys.exit(
                f"error: {answers} was begun with other questions or another bundle. Choose another file, or "
                f"delete it and {note}."
            )
    elif answers.exists():
        sys.exit(f"error: {answers} exists, and was not written by this script. Choose another file.")
    else:
        note.write_text(json.dumps(about) + "\n", encoding="utf-8")


@contextlib.contextmanager
def ray_session(workers: int, address: str | None) -> Iterator[None]:
    """Start Ray on this machine, its files in a folder that is removed afterwards; or join a cluster.

    Before it is imported, Ray is told not to report its use, which it does by itself; and, since its processes
    listen on all interfaces of the machine, to let nobody in without a token of this run.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if not address:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray

    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        here: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False}
        here |= {"_temp_dir": folder, "_node_ip_address": "127.0.0.1"}
        ray.init(
            address=address or "local", log_to_driver=False, logging_level="error", **({} if address else here)
        )
        try:
            yield
        finally:
            ray.shutdown()


def score(options: argparse.Namespace, done: int) -> None:
    """Ask what is left and write line after line."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.exceptions import RayError

    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    parts = list(parts_of(options.questions, done))
    answered = ray.data.from_items(parts, override_num_blocks=len(parts)).map_batches(
        Scorer,
        fn_constructor_args=(str(options.questions), options.bundle, options.engine, options.threads),
        compute=ActorPoolStrategy(size=options.workers),
        batch_size=1,
        num_cpus=1,
    )
    try:
        with options.answers.open("a", encoding="utf-8") as file:
            for batch in answered.iter_batches(batch_size=None, prefetch_batches=0):
                file.writelines(f"{line}\n" for line in batch["answer"])
                file.flush()
                done += len(batch["answer"])
                print(f"{done:,} rows", file=sys.stderr)
    except RayError as error:  # rows do not fail, so this is a worker or the machine
        why = str(error).strip().splitlines()[-1]
        sys.exit(f"error: a worker failed ({why}). What is written stays; the same command goes on from there.")


def summary(answers: Path) -> str:
    """Count what was written."""
    rows = bad = 0
    with answers.open(encoding="utf-8") as file:
        for rows, line in enumerate(file, 1):  # noqa: B007 (the last number is what counts)
            bad += "error" in json.loads(line)
    return f"{rows:,} rows: {rows - bad:,} answered, {bad:,} without an answer (their lines say why)"


def main(options: argparse.Namespace) -> None:
    """Score a file, or what is left of it."""
    options.questions, options.answers = options.questions.absolute(), options.answers.absolute()
    with Engine.load(options.bundle, engine=options.engine) as engine:  # its faults are said before Ray starts
        refuse_other_run(options.answers, options.questions, engine.manifest.sha256)
    done = finished(options.answers)
    if next(parts_of(options.questions, done), None):
        with ray_session(options.workers, options.address):
            score(options, done)
    print(summary(options.answers))


def count(text: str) -> int:
    """Return a number from 1. Raises ValueError."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Answer a file of questions on several workers.")
    parser.add_argument("questions", type=Path, help="rows of JSON, a line each")
    parser.add_argument("answers", type=Path, help="where the answers go; a run that was stopped goes on there")
    parser.add_argument("--bundle", help="folder, .zip file or name (yours)")
    parser.add_argument("--engine", default="auto", help="as in rim-edge (auto)")
    parser.add_argument("--workers", type=count, default=2, help="engines that answer at the same time (2)")
    parser.add_argument("--threads", type=count, default=1, help="threads of each (1)")
    parser.add_argument("--address", help="of a Ray cluster (this machine alone)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main(arguments())
    except ModuleNotFoundError as error:
        sys.exit(f'error: {error.name} is not installed. Run: pip install "ray[data]"')
    except KeyboardInterrupt:
        sys.exit("interrupted: the same command goes on from here")
    except (RimError, OSError) as error:
        sys.exit(" ".join([f"error: {error}", *getattr(error, "__notes__", ())]))
