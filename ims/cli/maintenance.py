"""`ims maintenance …`: tell IMS that somebody is working on something."""

from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from ims.cli.client import api, place
from ims.cli.errors import Wrong
from ims.cli.given import seconds
from ims.cli.group import examples, group
from ims.cli.output import Json, print_json, print_table, say

app = group("maintenance", "Add, list and end windows in which nobody is notified and nothing is healed.")

_COLUMNS: Final = ("window", "state", "from", "to", "zone", "recurs", "covers", "origin", "reason")

Name = Annotated[str, typer.Argument(metavar="WINDOW", help="Its name.")]


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
    service: Annotated[list[str] | None, typer.Option(metavar="NAME", help="What it covers; repeatable.")] = None,
    group: Annotated[list[str] | None, typer.Option(metavar="NAME", help="An inventory group; repeatable.")] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL=VALUE", help="Only alerts with this label, or with =~ and a pattern; repeatable."),
    ] = None,
    begins: Annotated[str | None, typer.Option("--from", metavar="TIME", help="When it begins (default: now).")] = None,
    ends: Annotated[str | None, typer.Option("--to", metavar="TIME", help="When it ends.")] = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="How long it is open, such as 90m or 2h.")
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Whose clocks, such as Europe/Berlin (default: this machine's)."),
    ] = None,
    rrule: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="How it recurs, such as 'FREQ=WEEKLY;BYDAY=SU'; needs --timezone."),
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Stands in the timelines of what it covers.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a maintenance window.

    Before you work on something: its alerts are recorded as always, but nobody is notified and nothing is healed. It
    begins now unless --from says when. Windows that everybody should review stand in the inventory instead.
    """
    if (ends is None) == (length is None):
        raise Wrong("Say either --to or --for: a window needs an end.")
    if rrule and not timezone:
        raise Wrong("--timezone: is missing: a window that recurs needs to know whose clocks.")
    given = {
        "name": name, "services": service, "groups": group, "match": dict(map(_condition, match or ())),
        "from": _time(begins, timezone, "--from"), "to": _time(ends, timezone, "--to"),
        "seconds": None if length is None else int(seconds(length, "--for")), "timezone": timezone, "rrule": rrule,
        "reason": reason,
    }  # fmt: skip
    added = api().ask("POST", "/maintenance-windows", body={key: value for key, value in given.items() if value})
    if as_json:
        print_json(added)
    else:
        print_table(_COLUMNS, [_row(added)])


def _time(text: str | None, timezone: str | None, option: str) -> str | None:
    """A time; without a zone of its own or of the command it is this machine's. Raises `Wrong`."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Wrong(f"{option}: {text!r} is no time: write 2026-03-01T02:00.") from None
    return (time if time.tzinfo or timezone else time.astimezone()).isoformat()


def _condition(text: str) -> tuple[str, str | dict[str, str]]:
    label, equals, value = text.partition("=")
    if not equals:
        raise Wrong(f"--match: {text!r} must be LABEL=VALUE or LABEL=~PATTERN.")
    return label, {"regex": value.removeprefix("~")} if value.startswith("~") else value


@app.command("list", epilog=examples("ims maintenance list", "ims maintenance list --all --json"))
def list_windows(
    with_past: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False, as_json: Json = False
) -> None:
    """List maintenance windows.

    To see why nobody was notified, or what is planned. Those of the inventory and those that were added; the ones that
    are over only with --all.
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
        _on_its_clocks(row[now] or row[first], row["timezone"]) for now, first in (("begins", "from"), ("ends", "to"))
    )
    return (
        row["name"], row["state"], begins, ends, row["timezone"], row["rrule"] or "once", covers, row["origin"],
        row["reason"],
    )  # fmt: skip


def _on_its_clocks(time: str, zone: str) -> str:
    """A time to the minute, on the clocks that the window is kept by."""
    try:
        read = datetime.fromisoformat(time)
        return f"{read.astimezone(ZoneInfo(zone)) if read.tzinfo else read:%Y-%m-%d %H:%M}"
    except (ValueError, ZoneInfoNotFoundError):
        return time


@app.command("end", epilog=examples("ims maintenance end new-disks"))
def end(name: Name) -> None:
    """End an open window now.

    When you are done early. What still fires is decided as if it were new. A window that recurs opens again next time.
    """
    api().ask("POST", place("maintenance-windows", name, "end"))
    say(f"{name} has ended.")


@app.command("remove", epilog=examples("ims maintenance remove new-disks"))
def remove(name: Name) -> None:
    """Remove a window that was added.

    When it was a mistake, or is not needed any more. A window of the inventory is removed there.
    """
    api().ask("DELETE", place("maintenance-windows", name))
    say(f"{name} is removed.")
