"""`ims maintenance …`: tell IMS that somebody is working on something."""

import argparse
import json
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from ims.api.v1.schemas.maintenance import show_window
from ims.cli.local import add_json, command_session, local_context
from ims.cli.terminal import print_json, print_table, read_duration
from ims.core.clock import utc_now
from ims.core.errors import FieldError, Invalid
from ims.maintenance.queries import KnownWindow, all_windows, windows_named
from ims.maintenance.state import state_of
from ims.maintenance.usecases import add_window, end_window, remove_window
from ims.policy.validation import wrong_fields
from ims.policy.windows import MaintenanceWindow, Span

_COLUMNS: Final = ("window", "state", "from", "to", "zone", "recurs", "covers", "origin", "reason")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    group = subparsers.add_parser("maintenance", help="windows in which nobody is told and nothing healed")
    commands = group.add_subparsers(dest="maintenance_command", metavar="COMMAND", required=True)
    adding = commands.add_parser("add", help="a new window, by default one that begins now")
    adding.add_argument("name", metavar="WINDOW")
    _add_definition(adding)
    add_json(adding)
    adding.set_defaults(run=_add)
    listing = commands.add_parser("list", help="windows that are open or will open")
    listing.add_argument("--all", action="store_true", help="also those that are over")
    add_json(listing)
    listing.set_defaults(run=_list)
    ending = commands.add_parser("end", help="end an open window now; one that recurs opens again next time")
    ending.add_argument("name", metavar="WINDOW")
    ending.set_defaults(run=_end)
    removing = commands.add_parser("remove", help="forget a window that was added by command")
    removing.add_argument("name", metavar="WINDOW")
    removing.set_defaults(run=_remove)


def _add_definition(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--service", action="append", default=[], metavar="NAME", help="what it covers; repeatable")
    parser.add_argument("--group", action="append", default=[], metavar="NAME", help="an inventory group; repeatable")
    parser.add_argument(
        "--match", action="append", default=[], metavar="LABEL=VALUE",
        help="only alerts with this label, or with =~ and a pattern; repeatable",
    )  # fmt: skip
    parser.add_argument("--from", dest="begins", metavar="TIME", help="such as '2026-03-01 02:00' (default: now)")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--to", dest="ends", metavar="TIME", help="when it ends")
    length.add_argument("--for", dest="length", metavar="DURATION", help="how long it is open, such as 90m or 2h")
    parser.add_argument(
        "--timezone", metavar="ZONE", help="whose clocks, such as Europe/Berlin (default: this machine's)"
    )
    parser.add_argument(
        "--rrule", metavar="RULE", help="how it recurs, such as 'FREQ=WEEKLY;BYDAY=SU'; needs --timezone"
    )
    parser.add_argument("--reason", metavar="TEXT", help="stands in the timelines of what it covers")


def _add(arguments: argparse.Namespace) -> int:
    now = utc_now()
    window = window_of(arguments, now)
    with local_context() as context:
        add_window(context, window)
        known = windows_named(context.session, window.name)[0]
    if arguments.json:
        print_json(_as_json(known, now))
    else:
        _print([known], now)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    now = utc_now()
    with command_session() as session:
        shown = [known for known in all_windows(session) if arguments.all or known.span_at(now)]
    if arguments.json:
        print_json([_as_json(known, now) for known in shown])
    elif shown:
        _print(shown, now)
    else:
        print("No maintenance windows.")
    return 0


def _end(arguments: argparse.Namespace) -> int:
    with local_context() as context:
        end_window(context, arguments.name)
    print(f"{arguments.name} has ended.")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    with local_context() as context:
        remove_window(context, arguments.name)
    print(f"{arguments.name} is removed.")
    return 0


def window_of(arguments: argparse.Namespace, now: datetime) -> MaintenanceWindow:
    """The window that a command line describes. Raises `Invalid` with every wrong field."""
    if arguments.rrule and not arguments.timezone:
        raise Invalid(fields=[FieldError("timezone", "is missing: a window that recurs needs to know whose clocks.")])
    begins = _read(arguments.begins, arguments) if arguments.begins else now.replace(microsecond=0)
    ends = _read(arguments.ends, arguments) if arguments.ends else _after(begins, arguments.length)
    given = {
        "name": arguments.name,
        "services": arguments.service,
        "groups": arguments.group,
        "match": dict(_condition(text) for text in arguments.match),
        "from": _written(begins),
        "to": _written(ends),
        "timezone": arguments.timezone or "UTC",
        "rrule": arguments.rrule,
        "reason": arguments.reason,
    }
    try:
        return MaintenanceWindow.model_validate_json(json.dumps(given))
    except ValidationError as error:
        raise Invalid(
            "The window has faults and was not added.", fields=wrong_fields(MaintenanceWindow, error)
        ) from None


def _read(text: str, arguments: argparse.Namespace) -> datetime | str:
    """A time; without a zone of its own or of the command it is this machine's. What is none is left to the model."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return time if time.tzinfo or arguments.timezone else time.astimezone()


def _after(begins: datetime | str, length: str) -> datetime | str:
    duration = read_duration(length, "for")
    return begins + duration if isinstance(begins, datetime) else begins


def _written(time: datetime | str) -> str:
    return time if isinstance(time, str) else time.isoformat()


def _condition(text: str) -> tuple[str, str | dict[str, str]]:
    label, equals, value = text.partition("=")
    if not equals:
        raise Invalid(fields=[FieldError("match", f"{text!r} must be LABEL=VALUE or LABEL=~PATTERN.")])
    return label, {"regex": value.removeprefix("~")} if value.startswith("~") else value


def _print(shown: list[KnownWindow], now: datetime) -> None:
    print_table(_COLUMNS, [_row(known, now) for known in shown])


def _row(known: KnownWindow, now: datetime) -> tuple[str, ...]:
    window = known.window
    span = known.span_at(now)
    begins, ends = (_on_its_clocks(window, moment) for moment in _moments(known, span))
    return (
        known.name, state_of(span, now), begins, ends, window.timezone, window.rrule or "once", _covers(window),
        known.origin.value, window.reason or "",
    )  # fmt: skip


def _moments(known: KnownWindow, span: Span | None) -> tuple[datetime, datetime]:
    """Of the span that is open or next; of what is over, of the first."""
    shown = span or known.window.first
    return shown.begins, shown.ends


def _on_its_clocks(window: MaintenanceWindow, moment: datetime) -> str:
    return f"{window.shown(moment):%Y-%m-%d %H:%M}"


def _covers(window: MaintenanceWindow) -> str:
    conditions = [
        f"{label}={value}" if isinstance(value, str) else f"{label}=~{value.regex}"
        for label, value in sorted(window.match.items())
    ]
    return ", ".join([*window.services, *(f"group {group}" for group in window.groups), *conditions])


def _as_json(known: KnownWindow, now: datetime) -> dict[str, Any]:
    return show_window(known, now).model_dump(mode="json", by_alias=True)
