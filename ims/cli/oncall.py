"""`ims oncall …`: who is on call, overrides and swaps."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfoNotFoundError

import typer

from ims.cli.client import api, place
from ims.cli.errors import Wrong
from ims.cli.given import seconds
from ims.cli.group import examples, group
from ims.cli.output import Json, now, print_json, print_table, say
from ims.core.timezones import time_zone

app = group("oncall", "Who is on call, and overrides and swaps of shifts.")

_NOBODY: Final = "nobody"

Schedule = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Name of the schedule.")]


@app.command("who", epilog=examples("ims oncall who", "ims oncall who --team payments --json"))
def who(
    team: Annotated[str | None, typer.Option(metavar="TEAM", help="Only schedules of this team.")] = None,
    as_json: Json = False,
) -> None:
    """Show who is on call now.

    Use it to find out whom to call. Times are local times of this machine.
    """
    rows = api().every("/oncall/current", team=team)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("schedule", "team", "on call", "until", "then"),
        [
            (row["schedule"], row["team"], row["person"] or _NOBODY, _local(row["ends"]), _following(row["following"]))
            for row in rows
        ],
        "There are no schedules.",
    )


def _following(shift: dict[str, Any] | None) -> str:
    return f"{shift['person']} from {_local(shift['begins'])}" if shift else ""


@app.command(
    "schedule",
    epilog=examples("ims oncall schedule", "ims oncall schedule payments", "ims oncall schedule payments --days 7"),
)
def schedule(
    name: Annotated[str | None, typer.Argument(metavar="[SCHEDULE]", help="Name of the schedule.")] = None,
    days: Annotated[int, typer.Option(min=1, max=92, metavar="N", help="How many days to show.")] = 28,
    as_json: Json = False,
) -> None:
    """List the schedules, or show the shifts of one.

    Times are local times of the schedule's time zone. Gaps are listed, too: nobody is on call in them.
    """
    if name is None:
        rows = api().every("/schedules")
        if as_json:
            print_json(rows)
        else:
            shown = [(row["name"], row["team"], row["timezone"], ", ".join(row["people"])) for row in rows]
            print_table(("schedule", "team", "timezone", "people"), shown, "There are no schedules.")
        return
    until = (now() + timedelta(days=days)).isoformat()
    found = api().get(place("schedules", name), until=until)
    if as_json:
        print_json(found)
        return
    zone = found["timezone"]
    print_table(
        ("from", "to", "on call", "by"),
        [
            (_in_zone(one["begins"], zone), _in_zone(one["ends"], zone), one["person"] or _NOBODY, _origin(one))
            for one in found["shifts"]
        ],
    )
    say(f"Times of {zone}.")


def _origin(shift: dict[str, Any]) -> str:
    if shift["override"] is not None:
        return f"override {shift['override']}"
    return str(shift["layer"] or "gap")


@app.command(
    "override",
    epilog=examples(
        "ims oncall override payments bob --for 2h",
        "ims oncall override payments bob --from 2030-12-24T08:00+01:00 --to 2030-12-26T08:00+01:00 --reason Holidays",
    ),
)
def override(
    schedule: Schedule,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Account that takes over.")],
    begins: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Start time (default: now).")] = None,
    ends: Annotated[str | None, typer.Option("--to", metavar="TIME", help="End time.")] = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Duration, such as 90m or 2h.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    as_json: Json = False,
) -> None:
    """Put a person on call for a time.

    The person takes the place of whoever is on call by the schedule. Times without an offset are local times of this
    machine. Of overrides that overlap, the newest counts. For members of the schedule's team and administrators.
    """
    if (ends is None) == (length is None):
        raise Wrong("Give either --to or --for: an override needs an end.")
    start = _time(begins, "--from") if begins else now()
    end = _time(ends, "--to") if ends else start + timedelta(seconds=seconds(length or "", "--for"))
    given = {"person": person, "from": start.isoformat(), "to": end.isoformat(), "reason": reason}
    added = api().request("POST", place("schedules", schedule, "overrides"), body=given)
    _show([added], as_json=as_json, whole=added)


@app.command("cancel", epilog=examples("ims oncall cancel payments 1"))
def cancel(
    schedule: Schedule,
    override_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="Id of the override.")],
) -> None:
    """Cancel an override.

    `ims oncall schedule SCHEDULE` shows the ids. An override that has begun ends now.
    """
    api().request("DELETE", place("schedules", schedule, "overrides", override_id))
    say(f"Override {override_id} has been cancelled.")


@app.command("swap", epilog=examples("ims oncall swap payments 2030-03-02T12:00Z 2030-03-09T12:00Z"))
def swap(
    schedule: Schedule,
    first: Annotated[str, typer.Argument(metavar="TIME", help="A time in the one shift.")],
    second: Annotated[str, typer.Argument(metavar="TIME", help="A time in the other shift.")],
    as_json: Json = False,
) -> None:
    """Swap two shifts.

    The people who are on call at the two times take each other's shifts. A shift that has begun is swapped from now on.
    """
    given = {"first": _time(first, "TIME").isoformat(), "second": _time(second, "TIME").isoformat()}
    made = api().request("POST", place("schedules", schedule, "swaps"), body=given)
    _show(made["overrides"], as_json=as_json, whole=made)


def _show(rows: list[dict[str, Any]], *, as_json: bool, whole: dict[str, Any]) -> None:
    if as_json:
        print_json(whole)
        return
    print_table(
        ("override", "schedule", "on call", "from", "to", "reason"),
        [
            (row["id"], row["schedule"], row["person"], _local(row["from"]), _local(row["to"]), row["reason"])
            for row in rows
        ],
    )


def _time(text: str, option: str) -> datetime:
    """A time; without a time zone it is in this machine's. Raises `Wrong`."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise Wrong(f"{option}: {text!r} is not a time: use 2026-03-01T02:00.") from None


def _local(time: str) -> str:
    return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M}"


def _in_zone(time: str, zone: str) -> str:
    """A time in the schedule's time zone; in UTC if this machine does not know it."""
    try:
        return f"{datetime.fromisoformat(time).astimezone(time_zone(zone)):%a %Y-%m-%d %H:%M %Z}"
    except (ZoneInfoNotFoundError, ValueError):
        return time
