"""A copy of what this process maps of a file, put in the mappings' place (Linux).

Whoever mapped the file, such as an engine's library, goes on reading at the same addresses. What is there no
longer depends on the file: it lies in memory, sealed against writing (memfd_create(2), fcntl(2) F_ADD_SEALS).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rim_runtime.machine.open_file import OpenFile


@dataclass(frozen=True)
class _Mapping:
    start: int
    """Its address."""
    size: int
    """Its bytes, a multiple of the page's size."""
    access: int
    """What may be done with its pages: PROT_READ, PROT_WRITE."""
    offset: int
    """Where in the file it starts."""


def maps(file: OpenFile) -> bool:
    """Whether this process maps a file; True where that cannot be known."""
    try:
        return sys.platform != "linux" or bool(_mappings_of(file))
    except OSError:
        return True


def replace_mappings(file: OpenFile) -> int:
    """Replace this process's mappings of a file by a sealed copy of them; return the bytes of the copy.

    Nobody may map or unmap the file meanwhile. Raises OSError: the file was written since it was opened, there is
    no memory for the copy, or this is not Linux.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "this system seals no memory")
    found = _mappings_of(file)
    if not found:
        return 0
    copy = os.memfd_create("rim-edge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        copied = _fill(copy, file, found)
        if not file.has_same_content():
            raise OSError(errno.ESTALE, "it was written since it was opened", str(file.path))
        _seal(copy)
        for mapping in found:
            _map_over(mapping, copy)
    finally:
        os.close(copy)
    return copied


def _mappings_of(file: OpenFile) -> list[_Mapping]:
    """Return the mappings of a file. A mapping of our own shows its device, which stat may name otherwise."""
    try:
        probe = mmap.mmap(file.fileno(), min(file.size, mmap.PAGESIZE), prot=0, flags=mmap.MAP_PRIVATE)
    except ValueError:  # what Python says of a file that is shorter
        raise OSError(errno.ESTALE, "it is shorter than it was", str(file.path)) from None
    with probe:
        ours = np.frombuffer(probe, np.uint8).ctypes.data
        lines = [_parse(line) for line in _lines() if " /" in line]
    identity = next(identity for identity, mapping in lines if mapping.start == ours)
    return [mapping for found, mapping in lines if found == identity and mapping.start != ours]


def _lines() -> list[str]:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - no path
        return file.readlines()


def _parse(line: str) -> tuple[tuple[str, str], _Mapping]:
    """Return a file's device and inode and the mapping, of `START-END rwxp OFFSET DEVICE INODE  PATH`."""
    place, modes, offset, device, inode, *_ = line.split(maxsplit=5)
    start, end = (int(text, 16) for text in place.split("-"))
    access = mmap.PROT_READ * (modes[0] == "r") | mmap.PROT_WRITE * (modes[1] == "w")
    return (device, inode), _Mapping(start, end - start, access, int(offset, 16))


def _fill(copy: int, file: OpenFile, parts: Sequence[_Mapping]) -> int:
    """Copy the mapped parts to the same places; return the bytes. What nobody mapped stays a hole."""
    os.truncate(copy, file.size)
    copied = done = 0
    for part in sorted(parts, key=lambda part: part.offset):
        at, end = max(done, part.offset), min(part.offset + part.size, file.size)
        os.lseek(copy, at, os.SEEK_SET)
        while at < end:
            sent = os.sendfile(copy, file.fileno(), at, end - at)
            if not sent:
                raise OSError(errno.ESTALE, "it is shorter than it was", str(file.path))
            at, copied = at + sent, copied + sent
        done = max(done, end)
    return copied


def _seal(copy: int) -> None:
    import fcntl

    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)


def _map_over(mapping: _Mapping, copy: int) -> None:
    """Map the copy at an address. The system does it in one step: who reads there meanwhile reads the same."""
    system_map = ctypes.CDLL(None, use_errno=True).mmap
    system_map.restype = ctypes.c_void_p
    system_map.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    flags = mmap.MAP_PRIVATE | _MAP_FIXED
    if system_map(mapping.start, mapping.size, mapping.access, flags, copy, mapping.offset) != mapping.start:
        raise OSError(ctypes.get_errno(), "the copy cannot be mapped")


_MAP_FIXED = 0x10
"""mmap(2); the same on all of Linux's processors that engines run on."""
