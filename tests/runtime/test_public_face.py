"""What `rim_runtime` shows, and that importing it is all that importing it does."""

import ast
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import rim_runtime

from tests.places import REPOSITORY

OWN_CODE = [REPOSITORY / folder for folder in ("runtime", "export", "rim_edge")]


def test_all_is_what_is_exported() -> None:
    modules = {name for name in vars(rim_runtime) if f"rim_runtime.{name}" in sys.modules}
    public = {name for name in vars(rim_runtime) if not name.startswith("_")} - modules
    assert set(rim_runtime.__all__) == public
    assert rim_runtime.__all__ == sorted(rim_runtime.__all__)


def test_the_release_needs_no_package_metadata() -> None:
    """Frozen applications have none; the build reads the same line."""
    assert rim_runtime.__version__ == metadata.version("rim-edge")


def test_every_error_is_a_leaf_of_the_documented_tree() -> None:
    from rim_runtime import errors

    classes = [item for item in vars(errors).values() if isinstance(item, type)]
    for error in classes:
        assert issubclass(error, errors.RimError)
        assert error.__name__ in (errors.__doc__ or ""), f"{error.__name__} is missing in the tree"


def test_import_has_no_side_effects() -> None:
    code = """
import json, os, sys, threading
unwanted = {"asyncio", "onnxruntime", "openvino", "torch", "transformers", "onnx", "huggingface_hub"}
before = dict(os.environ)
import rim_runtime, rim_runtime.testing
print(json.dumps({
    "loaded": sorted(unwanted & set(sys.modules)),
    "environment": dict(os.environ) == before,
    "threads": threading.active_count(),
}))
"""
    found = json.loads(
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=300).stdout
    )
    assert found == {"loaded": [], "environment": True, "threads": 1}


@pytest.mark.parametrize(
    ("library", "file"),
    [
        ("onnxruntime", "libraries/onnxruntime.py"),
        ("openvino", "libraries/openvino.py"),
        ("cuda", "libraries/cuda.py"),
    ],
)
def test_an_engines_library_is_imported_in_one_place(library: str, file: str) -> None:
    importers = [
        path.relative_to(REPOSITORY).as_posix()
        for folder in OWN_CODE
        for path in folder.rglob("*.py")
        if library in _imports(path)
    ]
    assert importers == [f"runtime/rim_runtime/{file}"]


def test_the_runtime_has_no_network_code() -> None:
    network = {"socket", "ssl", "urllib", "http", "requests", "httpx", "huggingface_hub"}
    for path in OWN_CODE[0].rglob("*.py"):
        assert not _imports(path) & network, path


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found
