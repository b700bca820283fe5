"""How much processor time a container may take: quotas of cgroups, version 2 or 1, its own and those around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_OWN_GROUPS = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


def cpu_quota(own_groups: Path = _OWN_GROUPS, mount: Path = _MOUNT) -> int | None:
    """Return the smallest quota that counts here, in whole cores, rounded up; None if there is none.

    `own_groups` lists this process's groups, `mount` is where all groups are found.
    """
    try:
        lines = own_groups.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    found = [_cores(folder) for folder in _folders(lines, mount)]
    return min((cores for cores in found if cores), default=None)


def _folders(lines: list[str], mount: Path) -> Iterator[Path]:
    """Yield the folders whose quotas count: from a process's group up to the root.

    Inside a container the listed path may be the host's and exist nowhere; its root is the container's own group.
    """
    yield mount
    for line in lines:  # "0::/a/b" in version 2, "4:cpu,cpuacct:/a/b" in version 1
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        roots = [mount / controllers, mount / "cpu"] if "cpu" in controllers.split(",") else []
        for root in [mount] if not controllers else roots:
            inner = PurePosixPath(path.lstrip("/"))
            for part in (inner, *inner.parents):
                if ".." not in part.parts:
                    yield root / part


def _cores(folder: Path) -> int | None:
    """Return a group's own quota; None without one."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip() for name in ("quota", "period")
            )
        return -(-int(quota) // int(period)) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number
        return None
