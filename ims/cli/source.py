"""`ims source …`: who may send alerts."""

import argparse
from collections.abc import Callable
from typing import Any, Final

from ims.alerts.source_statistics import figures_of
from ims.api.v1.schemas.sources import show_source, show_source_whole
from ims.cli.local import add_json, command_session, local_context
from ims.cli.terminal import local, print_fields, print_json, print_table, read_duration
from ims.core.errors import FieldError, Invalid, NotFound
from ims.sources.definition import SourceKind
from ims.sources.models import Source
from ims.sources.queries import all_sources
from ims.sources.state import state_of
from ims.sources.usecases import add_source, change_source, remove_source

_SOURCE_COLUMNS: Final = ("source", "kind", "state", "last notice", "asked", "rate", "networks", "alertmanager")
_NOTHING: Final = ("none", "any")
"""What takes an option's value away."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    sources = subparsers.add_parser("source", help="who sends alerts: add, list, show, set, remove")
    commands = sources.add_subparsers(dest="source_command", metavar="COMMAND", required=True)
    _add_source_commands(commands)


def _add_source_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    adding = commands.add_parser("add", help="a new sender; the same again changes nothing")
    adding.add_argument("name", metavar="SOURCE")
    adding.add_argument("--kind", choices=list(SourceKind), default=SourceKind.ALERTMANAGER, help="what it sends")
    _add_description(adding)
    adding.set_defaults(run=_add)
    changing = commands.add_parser("set", help="change what is given; `none` takes a value away")
    changing.add_argument("name", metavar="SOURCE")
    changing.add_argument("--kind", choices=list(SourceKind), default=None, help="what it sends")
    _add_description(changing)
    state = changing.add_mutually_exclusive_group()
    state.add_argument("--enable", dest="enabled", action="store_true", default=None, help="take its alerts again")
    state.add_argument("--disable", dest="enabled", action="store_false", help="take nothing from it any more")
    changing.set_defaults(run=_set)
    listing = commands.add_parser("list", help="all sources")
    add_json(listing)
    listing.set_defaults(run=_list)
    showing = commands.add_parser("show", help="one source")
    showing.add_argument("name", metavar="SOURCE")
    add_json(showing)
    showing.set_defaults(run=_show)
    removing = commands.add_parser("remove", help="remove a source without alerts, and its tokens")
    removing.add_argument("name", metavar="SOURCE")
    removing.set_defaults(run=_remove)


def _add_description(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--alertmanager-url", metavar="URL", help="its own Alertmanager, asked for what was missed")
    parser.add_argument("--receiver", metavar="NAME", help="our receiver there; without it every alert is ours")
    parser.add_argument(
        "--network", action="append", dest="networks", metavar="CIDR", help="it may send from here only; repeatable"
    )
    parser.add_argument("--rate", dest="rate_limit", metavar="N", help="alerts a second that one process takes")
    parser.add_argument("--silent-after", metavar="TIME", help="silence that is told, such as 15m; 0 is never")


def _add(arguments: argparse.Namespace) -> int:
    with local_context() as context:
        is_new = add_source(context, {"name": arguments.name, **_given(arguments)})
    return _told(is_new)


def _set(arguments: argparse.Namespace) -> int:
    with local_context() as context:
        is_changed = change_source(context, arguments.name, _given(arguments))
    return _told(is_changed)


def _remove(arguments: argparse.Namespace) -> int:
    try:
        with local_context() as context:
            remove_source(context, arguments.name)
    except NotFound:
        return _told(False)
    return _told(True)


def _told(is_changed: bool) -> int:
    print("changed" if is_changed else "unchanged")
    return 0


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of a source; what it does not mention is not there."""
    readers: dict[str, Callable[[str], Any]] = {
        "rate_limit": _number,
        "silent_after": lambda text: read_duration(text, "silent-after").total_seconds(),
    }
    given: dict[str, Any] = {}
    for field in ("kind", "alertmanager_url", "receiver", "rate_limit", "silent_after"):
        if (value := getattr(arguments, field)) is not None:
            given[field] = None if value.lower() in _NOTHING else readers.get(field, str)(value)
    if arguments.networks is not None:
        given["networks"] = [network for network in arguments.networks if network.lower() not in _NOTHING]
    if getattr(arguments, "enabled", None) is not None:
        given["enabled"] = arguments.enabled
    return given


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Invalid(fields=[FieldError("rate", "must be a number of alerts a second")]) from None


def _list(arguments: argparse.Namespace) -> int:
    with command_session() as session:
        sources = all_sources(session)
        if arguments.json:
            print_json([show_source(source).model_dump(mode="json") for source in sources])
        elif sources:
            print_table(_SOURCE_COLUMNS, [_source_row(source) for source in sources])
        else:
            print("No sources.")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with command_session() as session:
        figures = figures_of(session, arguments.name)
        shown = show_source_whole(session.get_one(Source, arguments.name), figures).model_dump(mode="json")
    (print_json if arguments.json else print_fields)(shown)
    return 0


def _source_row(source: Source) -> tuple[str, ...]:
    asked = source.repair_problem or local(source.repaired_at)
    if source.repair_held:
        asked = f"{asked}, {source.repair_held} held: {source.repair_held_reason}"
    return (
        source.name,
        source.kind,
        state_of(source),
        local(source.last_notice_at),
        asked,
        f"{source.rate_limit:g}/s" if source.rate_limit else "",
        ", ".join(source.networks),
        source.alertmanager_url or "",
    )
