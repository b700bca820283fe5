"""What the tokenizers library raises, as our error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rim_runtime.errors import BundleCorruptError


@contextmanager
def tokenizer_errors(what: str) -> Iterator[None]:
    """Turn what tokenizers raises into BundleCorruptError: bare Exception, and panics, which are BaseException."""
    try:
        yield
    except BaseException as error:
        if not (isinstance(error, Exception) or type(error).__name__ == "PanicException"):
            raise
        raise BundleCorruptError(f"{what} ({error}). Export the bundle again.") from None
