"""A lease on a file: who opens it for writing, or truncates it, waits until the holder has let go.

Linux, fcntl(2), "Leases". The kernel tells the holder by a signal. It goes to one thread of ours, which does
nothing but wait for it; the host program's threads and handlers never see it.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from rim_runtime.machine.open_file import OpenFile

_SET_OWNER, _OWNER_IS_A_THREAD = 15, 0
"""F_SETOWN_EX and F_OWNER_TID of fcntl(2), which Python does not name."""


class Lease:
    """Held until `release`, or until the kernel takes it from a holder that does not let go (after 45 s)."""

    def __init__(self, file: OpenFile, let_go: Callable[[], None]) -> None:
        """Take a lease; `let_go` is called in another thread when somebody waits, and the lease ends after it.

        Raises OSError: EACCES (the file belongs to another user), EAGAIN (it is open for writing), or another
        number where the file system or the operating system has no leases.
        """
        if sys.platform != "linux":
            raise OSError(errno.ENOTSUP, "this system has no leases")
        self._file, self._let_go = file, let_go
        self._process = os.getpid()
        self._lock = threading.RLock()  # who releases may be the collector, in any thread
        self._released = False
        self._refused: OSError | None = None
        taken = threading.Event()
        self._thread = threading.Thread(target=self._wait, args=(taken,), name="rim-edge lease", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the process may have no more threads
            raise OSError(errno.EAGAIN, str(error)) from None
        taken.wait()
        if self._refused:
            raise self._refused

    def is_held(self) -> bool:
        """Whether nobody has written since it was taken, nor waits to; true of a forked process as well."""
        import fcntl

        return fcntl.fcntl(self._file.fileno(), fcntl.F_GETLEASE) == fcntl.F_RDLCK

    def release(self) -> None:
        """Let go; in a forked process nothing happens, for the lease is its parent's."""
        if os.getpid() != self._process:
            return
        with self._lock:  # its thread ends after the signal only, so that the signal has a thread to go to
            if not self._released:
                self._released = True
                signal.pthread_kill(self._thread.ident or 0, signal.SIGRTMAX)
                self._give_back()

    def _wait(self, taken: threading.Event) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMAX, signal.SIGIO})
        try:
            self._take()
        except OSError as error:
            self._refused = error
            return
        finally:
            taken.set()
        while True:
            signal.sigwait({signal.SIGRTMAX})
            with self._lock:
                if self._released:
                    return
            self._let_go()
            self._give_back()

    def _take(self) -> None:
        import fcntl

        handle = self._file.fileno()
        owner = struct.pack("ii", _OWNER_IS_A_THREAD, threading.get_native_id())
        fcntl.fcntl(handle, _SET_OWNER, owner)
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGRTMAX)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)

    def _give_back(self) -> None:
        import fcntl

        with suppress(OSError):  # the kernel has taken it back
            fcntl.fcntl(self._file.fileno(), fcntl.F_SETLEASE, fcntl.F_UNLCK)
