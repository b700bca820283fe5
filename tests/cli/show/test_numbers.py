"""Numbers are written in one way."""

from __future__ import annotations

import pytest

from rim_edge.cli.show import numbers


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (numbers.percent(0.98), "98 %"),
        (numbers.percent(0.9999), "> 99 %"),
        (numbers.percent(0.001), "< 1 %"),
        (numbers.points(0.004), "< 1 point"),
        (numbers.points(0.006), "1 point"),
        (numbers.points(0.04), "4 points"),
        (numbers.points(0.9999), "> 99 points"),
        (numbers.tenths(1.0), "100.0 %"),
        (numbers.interval((0.0038, 0.1084)), "0.4 to 10.8 %"),
        (numbers.count(1234), "1,234"),
        (numbers.count(1, "block"), "1 block"),
        (numbers.count(0, "block"), "0 blocks"),
        (numbers.milliseconds(4.44), "4.4 ms"),
        (numbers.milliseconds(1234.5), "1,234 ms"),
        (numbers.seconds(4.44), "4.4 s"),
        (numbers.seconds(1234.5), "1,234 s"),
        (numbers.clock(3661.2), "1:01:01"),
        (numbers.megabytes(15_900_000), "15.9 MB"),
        (numbers.megabytes(3_440_000_000), "3.44 GB"),
    ],
)
def test_how_numbers_are_written(written: str, expected: str) -> None:
    assert written == expected
