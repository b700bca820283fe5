"""The only place that imports cuda-python."""

from __future__ import annotations

from typing import Any

from rim_runtime.errors import EngineUnavailableError, MissingExtraError


def import_cuda_runtime() -> Any:
    """Import cuda-python's runtime bindings. Raises MissingExtraError and EngineUnavailableError (broken)."""
    try:
        from cuda.bindings import runtime
    except ModuleNotFoundError as error:
        if error.name in ("cuda", "cuda.bindings"):
            raise MissingExtraError("cuda-bindings", 'pip install "rim-edge[trt]"', "The engine trt") from None
        raise _broken(error) from None
    except (ImportError, OSError, RuntimeError) as error:
        raise _broken(error) from None
    return runtime


def _broken(error: Exception) -> EngineUnavailableError:
    return EngineUnavailableError(
        f'cuda-bindings cannot be imported ({error}). Install it again: pip install "rim-edge[trt]"'
    )
