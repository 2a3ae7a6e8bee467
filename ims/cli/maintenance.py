"""`ims maintenance …`: maintenance windows."""

from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfoNotFoundError

import typer

from ims.cli.client import api, place
from ims.cli.errors import Wrong
from ims.cli.given import seconds
from ims.cli.group import examples, group
from ims.cli.output import Json, print_json, print_table, say
from ims.core.timezones import time_zone

app = group("maintenance", "Manage maintenance windows, in which IMS does not heal and does not notify anyone.")

_COLUMNS: Final = ("window", "state", "from", "to", "zone", "recurs", "covers", "origin", "reason")

Name = Annotated[str, typer.Argument(metavar="WINDOW", help="Name of the window.")]


@app.command(
    "add",
    epilog=examples(
        'ims maintenance add new-disks --service ims-web --for 30m --reason "New disks"',
        "ims maintenance add backups --service ims-web --from 2030-01-06T02:00 --for 1h --timezone Europe/Berlin "
        "--rrule 'FREQ=WEEKLY;BYDAY=SU'",
    ),
)
def add(
    name: Name,
    service: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Service it covers; repeatable.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Inventory group it covers; repeatable.")
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=VALUE", help="Only alerts with this label; =~ for a regular expression; repeatable."
        ),
    ] = None,
    begins: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Start time (default: now).")] = None,
    ends: Annotated[str | None, typer.Option("--to", metavar="TIME", help="End time.")] = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Duration, such as 90m or 2h.")
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Time zone, such as Europe/Berlin (default: this machine's)."),
    ] = None,
    rrule: Annotated[
        str | None,
        typer.Option(
            metavar="RULE", help="Recurrence rule of RFC 5545, such as 'FREQ=WEEKLY;BYDAY=SU'; needs --timezone."
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Added to the timelines of covered incidents.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a maintenance window.

    Use it before planned work. During a maintenance window alerts are recorded, but IMS does not heal and does not
    notify anyone. The window starts now unless --from is given. Put windows that should be reviewed into the inventory
    instead.
    """
    if (ends is None) == (length is None):
        raise Wrong("Give either --to or --for: a window needs an end.")
    if rrule and not timezone:
        raise Wrong("--timezone: is required for a recurring window.")
    given = {
        "name": name, "services": service, "groups": group, "match": dict(map(_condition, match or ())),
        "from": _time(begins, timezone, "--from"), "to": _time(ends, timezone, "--to"),
        "seconds": None if length is None else int(seconds(length, "--for")), "timezone": timezone, "rrule": rrule,
        "reason": reason,
    }  # fmt: skip
    added = api().request("POST", "/maintenance-windows", body={key: value for key, value in given.items() if value})
    if as_json:
        print_json(added)
    else:
        print_table(_COLUMNS, [_row(added)])


def _time(text: str | None, timezone: str | None, option: str) -> str | None:
    """A time; without a time zone and without --timezone it is in this machine's zone. Raises `Wrong`."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Wrong(f"{option}: {text!r} is not a time: use 2026-03-01T02:00.") from None
    return (time if time.tzinfo or timezone else time.astimezone()).isoformat()


def _condition(text: str) -> tuple[str, str | dict[str, str]]:
    label, equals, value = text.partition("=")
    if not equals:
        raise Wrong(f"--match: {text!r} must be LABEL=VALUE or LABEL=~PATTERN.")
    return label, {"regex": value.removeprefix("~")} if value.startswith("~") else value


@app.command("list", epilog=examples("ims maintenance list", "ims maintenance list --all --json"))
def list_windows(
    with_past: Annotated[bool, typer.Option("--all", help="Also windows that are over.")] = False, as_json: Json = False
) -> None:
    """List maintenance windows.

    Shows planned windows, and why IMS did not notify anyone. Lists windows of the inventory and windows added by API or
    command; windows that are over are listed only with --all.
    """
    rows = [row for row in api().every("/maintenance-windows") if with_past or row["state"] != "over"]
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "No maintenance windows.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    conditions = [
        f"{label}={value}" if isinstance(value, str) else f"{label}=~{value['regex']}"
        for label, value in sorted(row["match"].items())
    ]
    covers = ", ".join([*row["services"], *(f"group {name}" for name in row["groups"]), *conditions])
    begins, ends = (
        _in_zone(row[now] or row[first], row["timezone"]) for now, first in (("begins", "from"), ("ends", "to"))
    )
    return (
        row["name"], row["state"], begins, ends, row["timezone"], row["rrule"] or "once", covers, row["origin"],
        row["reason"],
    )  # fmt: skip


def _in_zone(time: str, zone: str) -> str:
    """A time to the minute, in the window's time zone."""
    try:
        read = datetime.fromisoformat(time)
        return f"{read.astimezone(time_zone(zone)) if read.tzinfo else read:%Y-%m-%d %H:%M}"
    except (ValueError, ZoneInfoNotFoundError):
        return time


@app.command("end", epilog=examples("ims maintenance end new-disks"))
def end(name: Name) -> None:
    """End an open window now.

    Use it when the work is finished early. Alerts that still fire are decided as if they were new. A recurring window
    opens again at its next time.
    """
    api().request("POST", place("maintenance-windows", name, "end"))
    say(f"{name} has ended.")


@app.command("remove", epilog=examples("ims maintenance remove new-disks"))
def remove(name: Name) -> None:
    """Remove a window that was added.

    Only windows added by API or command. To remove a window of the inventory, edit the inventory.
    """
    api().request("DELETE", place("maintenance-windows", name))
    say(f"{name} has been removed.")
