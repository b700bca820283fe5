"""Quotas of containers, as cgroups of both versions write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from rim_runtime.machine.cpu_quota import cpu_quota

V2, V1 = "0::{}\n", "9:memory:/other\n4:cpu,cpuacct:{}\n"


@pytest.mark.parametrize(
    ("group", "files", "cores"),
    [
        (V2.format("/"), {"cpu.max": "150000 100000\n"}, 2),
        (V2.format("/"), {"cpu.max": "max 100000\n"}, None),
        (V2.format("/a/b"), {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "100000 100000\n"}, 1),
        (V2.format("/a/b"), {"a/b/cpu.max": "200000 100000\n", "a/cpu.max": "400000 100000\n"}, 2),
        (V2.format("/gone"), {"cpu.max": "300000 100000\n"}, 3),
        (V2.format("/../up"), {"cpu.max": "300000 100000\n"}, 3),
        (V1.format("/docker/x"), {"cpu,cpuacct/docker/x": "150000"}, 2),
        (V1.format("/docker/x"), {"cpu/docker": "50000"}, 1),
        (V1.format("/of/the/host"), {"cpu,cpuacct": "400000"}, 4),
        (V1.format("/"), {"cpu": "-1"}, None),
        ("", {"cpu.max": "damaged"}, None),
        (None, {}, None),
    ],
)
def test_the_smallest_quota_counts(
    tmp_path: Path, group: str | None, files: dict[str, str], cores: int | None
) -> None:
    groups, mount = tmp_path / "cgroup", tmp_path / "mount"
    if group is not None:
        groups.write_text(group)
    for name, text in files.items():
        version_1 = not name.endswith("cpu.max")
        path = mount / name / "cpu.cfs_quota_us" if version_1 else mount / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if version_1:
            (path.parent / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu_quota(groups, mount) == cores
