"""`ims admin doctor`: what is wrong with this machine, and what to do about it.

A check looks at one thing and reports one finding. A new check is one function in `CHECKS`.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import text

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.db.migrate import SchemaDiffers, SchemaOutdated, check_schema
from ims.core.db.readiness import READY_SECONDS
from ims.core.errors import ConfigurationFaulty, DatabaseAway, DatabaseDiskFull, DatabaseUnresponsive
from ims.core.settings import Settings, load_settings
from ims.core.timezones import LOCKED_RELEASE, is_older, machine_release

GIB: Final = 1024**3
LOW_SPACE: Final = (GIB, 0.05)
"""Less free space than either of these, in bytes or as a share of the disk, is a warning."""
NO_SPACE: Final = (GIB // 5, 0.01)
"""Less free space than either of these is a failure."""
OFFSET_WARNS: Final = timedelta(seconds=2)
OFFSET_FAILS: Final = timedelta(seconds=60)


class Status(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARN = "warn"
    """IMS works, but something should be done."""
    FAIL = "fail"
    """IMS does not work, or will soon not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `remedy` says what to do about it, and is empty if the status is OK."""

    check: str
    status: Status
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the checks look at."""

    settings: Settings
    database: Database


Check = Callable[[Machine], Finding]


def examine() -> Iterator[Finding]:
    """The findings of all checks, one by one."""
    try:
        settings = load_settings()
    except ConfigurationFaulty as faulty:
        fields = "; ".join(f"{field.field}: {field.message}" for field in faulty.fields)
        message = f"{faulty.message} {fields}".strip()
        yield Finding(
            "settings", Status.FAIL, message, "Correct them: docs/reference/settings.md. Nothing else was checked."
        )
        return
    yield Finding("settings", Status.OK, f"the state directory is {settings.state_dir}")
    database = Database.of(settings)
    try:
        for check in CHECKS:
            yield check(Machine(settings, database))
    finally:
        database.dispose()


def check_database(machine: Machine) -> Finding:
    """Whether the database answers."""
    begun = time.monotonic()
    try:
        machine.database.check(READY_SECONDS)
    except DatabaseDiskFull:
        return Finding("database", Status.FAIL, "its disk is full", _ROOM)
    except DatabaseUnresponsive:
        remedy = "Check PostgreSQL's log and load: it may be frozen, or out of memory or connections."
        return Finding(
            "database", Status.FAIL, f"accepts connections, but does not answer within {READY_SECONDS:g} s", remedy
        )
    except DatabaseAway:
        return Finding("database", Status.FAIL, "does not answer", _away(machine))
    return Finding("database", Status.OK, f"answered in {(time.monotonic() - begun) * 1000:.0f} ms")


def _away(machine: Machine) -> str:
    url = machine.database.url
    return f"Start PostgreSQL (`make up`), or correct IMS_DATABASE_URL, which points to {url.host}:{url.port or 5432}."


_UNKNOWN: Final = "unknown, since the database does not answer"
_ROOM: Final = "Free space: shorten the policy's retention and run `ims admin retention run`, or enlarge the disk."


def check_schema_revision(machine: Machine) -> Finding:
    """Whether the schema belongs to this version of IMS."""
    try:
        check_schema(machine.database)
    except DatabaseAway:
        return Finding("schema", Status.FAIL, _UNKNOWN, _away(machine))
    except SchemaDiffers as differs:
        remedy = "Run `ims admin migrate`, which repairs the schemas of earlier commits; repair the rest by hand."
        return Finding("schema", Status.FAIL, f"differs from the one of this version: {differs.shown}", remedy)
    except SchemaOutdated:
        remedy = "Run `ims admin migrate`, or install the version of IMS that the database belongs to."
        return Finding("schema", Status.FAIL, "does not belong to this version of IMS", remedy)
    return Finding("schema", Status.OK, "belongs to this version of IMS")


def check_clock(machine: Machine) -> Finding:
    """How far this machine's clock is from the database's."""
    try:
        with machine.database.begin() as session:
            # Opening the connection must not count as part of the measured round trip.
            session.execute(text("SELECT 1"))
            before = utc_now()
            theirs = session.scalars(text("SELECT clock_timestamp()")).one()
            after = utc_now()
    except DatabaseAway:
        return Finding("clock", Status.FAIL, _UNKNOWN, _away(machine))
    return judge_clock(before, theirs, after)


def judge_clock(before: datetime, theirs: datetime, after: datetime) -> Finding:
    """The finding for a database whose clock showed `theirs` between two times of this machine's clock. Pure."""
    offset = before + (after - before) / 2 - theirs
    side = "ahead of" if offset > timedelta() else "behind"
    message = f"{abs(offset).total_seconds():.1f} s {side} the database's"
    # The offset is only known up to half the round trip: after a slow answer the clocks may well be equal.
    certain = abs(offset) - (after - before) / 2
    if certain < OFFSET_WARNS:
        return Finding("clock", Status.OK, message)
    remedy = "Synchronise the clocks of both machines by NTP, for example with chrony."
    return Finding("clock", Status.FAIL if certain >= OFFSET_FAILS else Status.WARN, message, remedy)


def check_disk(machine: Machine) -> Finding:
    """How much space the disk of the state directory has left."""
    folder = next(one for one in (machine.settings.state_dir, *machine.settings.state_dir.parents) if one.exists())
    usage, files = shutil.disk_usage(folder), os.statvfs(folder)
    # Some file systems, such as btrfs, have no fixed number of inodes.
    free_files = files.f_favail / files.f_files if files.f_files else 1.0
    return judge_disk(folder, usage.free, usage.total, free_files)


def judge_disk(folder: Path, free: int, total: int, free_files: float) -> Finding:
    """The finding for a disk with `free` of `total` bytes, and `free_files` as the share of unused inodes. Pure."""
    share = free / total if total else 0.0
    message = f"{free / GIB:.1f} GiB free ({share:.0%}) at {folder}"
    if free_files < min(share, LOW_SPACE[1]):
        message = f"{free_files:.0%} of the inodes free at {folder}"
    worst = min(share, free_files)
    if free >= LOW_SPACE[0] and worst >= LOW_SPACE[1]:
        return Finding("disk", Status.OK, message)
    is_full = free < NO_SPACE[0] or worst < NO_SPACE[1]
    return Finding("disk", Status.FAIL if is_full else Status.WARN, message, _ROOM)


def check_time_zones(_: Machine) -> Finding:
    """Whether the machine's time zone database is as new as that of the package tzdata in the lock file."""
    return judge_time_zones(machine_release(), LOCKED_RELEASE)


def judge_time_zones(machine: str | None, locked: str) -> Finding:
    """The finding for the release of the machine's database, if known, and that of the package. Pure."""
    if machine is None:
        return Finding(
            "time zones", Status.OK, f"IMS uses its own release {locked}; this machine's is missing or unknown"
        )
    if not is_older(machine, locked):
        return Finding("time zones", Status.OK, f"release {machine} of this machine")
    message = f"this machine has release {machine}, IMS uses {locked}"
    remedy = (
        "Update the system's package tzdata: Alertmanager's time intervals, cron and playbooks use the machine's time"
        " zones, and may be an hour off."
    )
    return Finding("time zones", Status.WARN, message, remedy)


CHECKS: Final[tuple[Check, ...]] = (check_database, check_schema_revision, check_clock, check_disk, check_time_zones)
