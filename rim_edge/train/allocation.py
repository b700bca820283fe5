"""What becomes of memory that is freed: glibc is told to keep it for the next step.

Left alone it gives the activations back to the system behind every backward pass, and the next forward pass faults
them in anew, page by page: an eighth of a small model's step.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""mallopt's parameters: free memory at the heap's end that is given back, sizes that are mapped one by one."""
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep what it frees, where its C library is glibc; elsewhere nothing happens."""
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
