"""What people write text with today: from the same checkpoint, by its own tools, in environments of their own."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cpu_parts.environments import environment_python, make_environment
from cpu_parts.peers.llama_cpp import BUILD
from decode_parts.setting import Model, Setting
from decode_parts.writer import Writer
from harness.made import hash_files, make_once, run_measured
from harness.place import BENCH, peer_environment
from harness.rounds import TARGET_LENGTH
from real_parts.setting import our_worker_environment, worker_environment

WORKERS = BENCH / "workers" / "decode"
LISTS = BENCH / "cpu_parts" / "peers"
GGUF_MAKERS = {"llama": "real/make_llama_gguf.py", "qwen3": "make_gguf.py"}
"""Scripts that write a GGUF file, by the checkpoint's family."""
ENVIRONMENTS = ("llama_cpp", "genai", "openvino_genai")
PINS = {
    name: tuple(line for line in (LISTS / f"{name}.txt").read_text().split() if "==" in line)
    for name in ENVIRONMENTS
}
"""What each environment holds."""
Commands = Callable[[Path], list[str]]
"""Returns the command that makes a model at a path."""


def llama_writer(setting: Setting, model: Model, kind: str) -> Writer:
    """Return llama.cpp on a GGUF file of a type."""
    name = f"llama.cpp {kind}"
    family = json.loads((model.checkpoint / "config.json").read_text())["model_type"]
    maker = BENCH / "workers" / GGUF_MAKERS[family]
    python = environment_python(setting.environments, "llama_cpp")
    file = setting.made(model, name) / "model.gguf"
    longest = TARGET_LENGTH + setting.tokens + 8
    return Writer(
        name,
        _maker(
            setting,
            model,
            name,
            "llama_cpp",
            lambda target: [str(python), str(maker), str(model.checkpoint), str(target / "model.gguf"), kind],
        ),
        (str(python), str(WORKERS / "write_llama_cpp.py"), str(file), str(longest), str(setting.samples)),
        worker_environment(),
        file.parent,
    )


def genai_writer(setting: Setting, model: Model, precision: str) -> Writer:
    """Return onnxruntime-genai on a model of its builder, whose defaults for the CPU it is."""
    name = f"onnxruntime-genai {precision}"
    python = environment_python(setting.environments, "genai")
    folder = setting.made(model, name)

    def command(target: Path) -> list[str]:
        builder = [str(python), "-m", "onnxruntime_genai.models.builder", "-i", str(model.checkpoint)]
        builder += ["-o", str(target), "-p", precision, "-e", "cpu", "-c", str(folder.with_suffix(".cache"))]
        return [*builder, "--extra_options", "prune_lm_head=true"]

    return Writer(
        name,
        _maker(setting, model, name, "genai", command),
        (str(python), str(WORKERS / "write_genai.py"), str(folder)),
        worker_environment(),
        folder,
        note="several texts at once: the prompt is read once for each",
    )


def openvino_writer(setting: Setting, model: Model, precision: str) -> Writer:
    """Return OpenVINO GenAI on a model that optimum-intel converted, its weights compressed by its defaults."""
    name = f"OpenVINO GenAI {precision}"
    python = environment_python(setting.environments, "openvino_genai")
    folder = setting.made(model, name)

    def command(target: Path) -> list[str]:
        return [str(python), str(WORKERS / "make_openvino.py"), str(model.checkpoint), str(target), precision]

    return Writer(
        name,
        _maker(setting, model, name, "openvino_genai", command),
        (str(python), str(WORKERS / "write_openvino.py"), str(folder)),
        worker_environment(),
        folder,
        note="its own times; several texts at once: the prompt is read once for each",
    )


def transformers_writer(setting: Setting, model: Model) -> Writer:
    """Return transformers on the checkpoint itself."""
    folder = setting.made(model, "transformers")
    link = folder / "checkpoint"

    def make(target: Path) -> dict[str, Any]:
        target.mkdir()
        link.symlink_to(model.checkpoint)
        return {}

    return Writer(
        "transformers",
        lambda: make_once(folder, str(model.checkpoint), make),
        (sys.executable, str(WORKERS / "write_transformers.py"), str(link)),
        our_worker_environment(setting.place),
        folder,
        note="in the checkpoint's own type",
    )


def _maker(
    setting: Setting, model: Model, name: str, environment: str, command: Commands
) -> Callable[[], dict[str, Any]]:
    """Return what makes a comparator's model in its environment, unless it is there."""
    variables: Mapping[str, str] | None = BUILD if environment == "llama_cpp" else None
    folder = setting.made(model, name)

    def make(target: Path) -> dict[str, Any]:
        make_environment(setting.environments, environment, variables)
        target.mkdir()
        try:
            measured = run_measured(
                command(target), _making_environment(), setting.place.log(f"{model.name} {name}")
            )
        finally:
            shutil.rmtree(folder.with_suffix(".cache"), ignore_errors=True)
        return {"seconds": measured["seconds"], "peak_gib": measured["peak_gib"]}

    words = command(Path("TARGET"))
    scripts = [Path(word) for word in words if word.endswith(".py")]
    recipe = f"{hash_files(LISTS / f'{environment}.txt', *scripts)} {words}"
    return lambda: make_once(folder, recipe, make)


def _making_environment() -> dict[str, str]:
    return {**peer_environment(), "PYTHONPATH": str(BENCH / "workers")}
