"""Time zones by the newer database, over a machine whose own is made up."""

import shutil
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib import metadata, resources
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError

import pytest

from ims.core.timezones import LOCKED_RELEASE, is_older, machine_release, time_zone
from tests.unit.maintenance.test_windows import utc, window

Install = Callable[[str], None]
FILES = resources.files("tzdata") / "zoneinfo"


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Give the machine a database of a release, in which Vancouver goes by the clocks of Berlin."""

    def put(first_line: str, file: str = "tzdata.zi") -> None:
        (tmp_path / file).write_text(first_line)
        (tmp_path / "America").mkdir()
        with resources.as_file(FILES / "Europe" / "Berlin") as berlin:
            shutil.copy(berlin, tmp_path / "America" / "Vancouver")
            shutil.copy(berlin, tmp_path / "America" / "Ours")
        time_zone.cache_clear()
        zoneinfo.ZoneInfo.clear_cache()
        zoneinfo.reset_tzpath(to=[tmp_path / "nothing", tmp_path])

    yield put
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()
    time_zone.cache_clear()


NOON = datetime.fromisoformat("2026-07-01 12:00")
BERLIN, VANCOUVER = timedelta(hours=2), timedelta(hours=-7)


def offset(name: str = "America/Vancouver") -> timedelta | None:
    return NOON.replace(tzinfo=time_zone(name)).utcoffset()


@pytest.mark.parametrize(
    ("first_line", "file", "expected"),
    [
        ("# version 2020a\n", "tzdata.zi", VANCOUVER),
        ("# version 2099a\n", "tzdata.zi", BERLIN),
        (f"# version {LOCKED_RELEASE}\n", "tzdata.zi", BERLIN),
        (f"# version {LOCKED_RELEASE}-2-gabcdef-dirty\n", "tzdata.zi", BERLIN),
        ("2099a\n", "+VERSION", BERLIN),
        ("2020a\n", "+VERSION", VANCOUVER),
        # Which it is, it does not say.
        ("# This file is in the public domain.\n", "tzdata.zi", VANCOUVER),
        ("", "tzdata.zi", VANCOUVER),
    ],
)
def test_the_newer_database_counts(install: Install, first_line: str, file: str, expected: timedelta) -> None:
    install(first_line, file)
    assert offset() == expected


def test_a_zone_that_only_the_machine_has_is_its_own(install: Install) -> None:
    install("# version 2020a\n")
    assert offset("America/Ours") == BERLIN


@pytest.mark.parametrize(
    "name", ["", "/", "..", "../tzdata", "Europe", "Europe//Berlin", "zones", "tzdata.zi", "No/Where"]
)
def test_what_is_no_zone_is_refused(install: Install, name: str) -> None:
    install("# version 2020a\n")
    with pytest.raises((ZoneInfoNotFoundError, ValueError, OSError)):
        time_zone(name)


def test_releases_are_in_order() -> None:
    releases = ["1999z", "2025b", "2026a", "2026f", "2026z", "2026za", "2027a"]
    for place, release in enumerate(releases):
        assert [is_older(release, other) for other in releases] == [other > place for other in range(len(releases))]


def test_the_machine_says_what_release_it_has(install: Install) -> None:
    install("# version 2026b\n")
    assert machine_release() == "2026b"


# Vancouver stays at UTC-7 from March 2026 on: no hour comes twice in November 2026, none is left out in March 2027.
@pytest.mark.parametrize(
    ("night", "begins", "ends"),
    [
        ("2025-11-02", "2025-11-02 08:00", "2025-11-02 11:00"),
        ("2026-03-08", "2026-03-08 09:00", "2026-03-08 10:00"),
        ("2026-11-01", "2026-11-01 08:00", "2026-11-01 10:00"),
        ("2027-03-14", "2027-03-14 08:00", "2027-03-14 10:00"),
    ],
)
def test_windows_go_by_the_rules_of_2026(install: Install, night: str, begins: str, ends: str) -> None:
    install("# version 2025b\n")
    opened = window(timezone="America/Vancouver", **{"from": f"{night} 01:00", "to": f"{night} 03:00"})
    assert (opened.first.begins, opened.first.ends) == (utc(begins), utc(ends))


def test_dateutil_is_the_pinned_one() -> None:
    # In the gap of a change of clocks, 2.9 and 4.0 are an hour apart.
    assert metadata.version("python-dateutil").split(".")[0] == "4"
