"""What the doctor thinks of a clock, a disk and a time zone database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ims.core.doctor import GIB, judge_clock, judge_disk, judge_time_zones

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("offset", "took", "expected"),
    [
        (0.0, 0.01, ("ok", "0.0 s behind the database's")),
        (1.9, 0.01, ("ok", "1.9 s ahead of the database's")),
        (2.1, 0.01, ("warn", "2.1 s ahead of the database's")),
        (-59.0, 0.01, ("warn", "59.0 s behind the database's")),
        (-61.0, 0.01, ("fail", "61.0 s behind the database's")),
        (3600.0, 0.01, ("fail", "3600.0 s ahead of the database's")),
        # It answered after 10 seconds, and read its clock at some moment of these.
        (4.0, 10.0, ("ok", "4.0 s ahead of the database's")),
    ],
)
def test_a_clock(offset: float, took: float, expected: tuple[str, str]) -> None:
    half = timedelta(seconds=took / 2)
    found = judge_clock(NOON - half, NOON - timedelta(seconds=offset), NOON + half)
    assert (found.status, found.message) == expected
    assert bool(found.remedy) == (found.status != "ok")


@pytest.mark.parametrize(
    ("free", "total", "free_files", "expected"),
    [
        (50 * GIB, 100 * GIB, 1.0, ("ok", "50.0 GiB free (50%) at /state")),
        (4 * GIB, 100 * GIB, 1.0, ("warn", "4.0 GiB free (4%) at /state")),
        (GIB // 2, 2 * GIB, 1.0, ("warn", "0.5 GiB free (25%) at /state")),
        (GIB // 10, GIB, 1.0, ("fail", "0.1 GiB free (10%) at /state")),
        (50 * GIB, 10_000 * GIB, 1.0, ("fail", "50.0 GiB free (0%) at /state")),
        (50 * GIB, 100 * GIB, 0.03, ("warn", "3% of the inodes free at /state")),
        (50 * GIB, 100 * GIB, 0.0, ("fail", "0% of the inodes free at /state")),
        (0, 0, 0.0, ("fail", "0.0 GiB free (0%) at /state")),
    ],
)
def test_a_disk(free: int, total: int, free_files: float, expected: tuple[str, str]) -> None:
    found = judge_disk(Path("/state"), free, total, free_files)
    assert (found.status, found.message) == expected
    assert bool(found.remedy) == (found.status != "ok")


@pytest.mark.parametrize(
    ("machine", "status"), [("2025b", "warn"), ("2026e", "warn"), ("2026f", "ok"), ("2027a", "ok"), (None, "ok")]
)
def test_a_time_zone_database(machine: str | None, status: str) -> None:
    found = judge_time_zones(machine, "2026f")
    assert found.status == status
    assert bool(found.remedy) == (status != "ok")
