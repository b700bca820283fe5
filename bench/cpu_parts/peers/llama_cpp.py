"""llama.cpp, built from llama-cpp-python's source package for this processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cpu_parts.environments import environment_python, make_environment
from harness.made import hash_files, make_once, read_figures, run_measured
from harness.place import BENCH, Place, peer_environment
from harness.row import Missing, Row, row_name

NAME = "llama_cpp"
TYPES = ("Q8_0", "Q4_0", "Q4_K_M")
BUILD = {"CMAKE_ARGS": "-DGGML_NATIVE=ON -DGGML_LLAMAFILE=ON -DLLAVA_BUILD=OFF"}
"""Every instruction this processor has, and the faster matrix product that llama.cpp's own builds switch on."""
MAKER = BENCH / "workers" / "make_gguf.py"


def make_llama_cpp(place: Place, layers: int, kind: str) -> dict[str, Any]:
    """Build llama.cpp and its GGUF file of one type, unless they are there; return the file's figures."""

    def make(target: Path) -> dict[str, Any]:
        python = make_environment(place, NAME, BUILD)
        command = [str(python), str(MAKER), str(place.checkpoint(layers)), str(target), kind]
        measured = run_measured(command, peer_environment(), place.log(f"gguf {kind} {layers}"))
        return {"seconds": measured["seconds"], "peak_gib": measured["peak_gib"]}

    recipe = hash_files(MAKER, BENCH / "cpu_parts" / "peers" / f"{NAME}.txt")
    return make_once(place.made("gguf", layers, f"{kind}.gguf"), recipe, make)


def llama_cpp_row(place: Place, layers: int, kind: str, longest: int) -> Row | Missing:
    """Return the row of one type of GGUF file; its context takes `longest` tokens."""
    name = row_name(f"llama.cpp {kind}", layers, place.layers)
    model = place.made("gguf", layers, f"{kind}.gguf")
    figures = read_figures(model)
    if "failed" in figures:
        return Missing(name, figures["failed"])
    python = environment_python(place, NAME)
    command = (str(python), str(BENCH / "workers" / "ask_llama_cpp.py"), str(model), str(longest))
    return Row(name, command, peer_environment(), model, layers, cold=("as it comes",))
