"""`ims audit …`: who changed what, and from where."""

import argparse
import json
from typing import Final

from ims.audit.inputs import read_filters
from ims.audit.models import AuditEntry
from ims.audit.queries import Filters, entry_as_json, exported, list_entries
from ims.audit.wording import changes_of
from ims.cli.local import add_json, command_database, command_session
from ims.cli.terminal import local, print_json, print_table

_COLUMNS: Final = ("id", "at", "actor", "address", "action", "object", "change")
_CHANGE_WIDTH: Final = 80
_FILTERS: Final = {
    "actor": "by this person (alice) or token (alice (T-3))",
    "action": "only this action, such as user.disabled",
    "kind": "only on this kind of object, such as incident",
    "object": "only on this object, such as INC-42",
    "address": "only from this address",
    "since": "only from this time on, such as 2026-03-01",
    "until": "only before this time",
}


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    group = subparsers.add_parser("audit", help="who changed what: list, export")
    commands = group.add_subparsers(dest="audit_command", metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="entries, newest first")
    _add_filters(listing)
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default 20)")
    add_json(listing)
    listing.set_defaults(run=_list)
    exporting = commands.add_parser("export", help="all entries as JSON lines, newest first")
    _add_filters(exporting)
    exporting.set_defaults(run=_export)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    for name, meaning in _FILTERS.items():
        parser.add_argument(f"--{name}", default="", metavar=name.upper(), help=meaning)


def _filters(arguments: argparse.Namespace) -> Filters:
    return read_filters({name: getattr(arguments, name) for name in _FILTERS})


def _list(arguments: argparse.Namespace) -> int:
    filters = _filters(arguments)
    with command_session() as session:
        entries = list_entries(session, filters, max(arguments.limit, 1))
    if arguments.json:
        print_json([entry_as_json(entry) for entry in entries])
    elif entries:
        print_table(_COLUMNS, [_row(entry) for entry in entries])
    else:
        print("No entries.")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    filters = _filters(arguments)
    with command_database() as database:
        for entry in exported(database, filters):
            print(json.dumps(entry_as_json(entry)))
    return 0


def _row(entry: AuditEntry) -> tuple[str, ...]:
    change = ", ".join(
        f"{one.name}: {one.after}" if one.before is None else f"{one.name}: {one.before} → {one.after}"
        for one in changes_of(entry)
    )
    if len(change) > _CHANGE_WIDTH:
        change = f"{change[: _CHANGE_WIDTH - 1]}…"
    return (str(entry.id), local(entry.at), entry.actor, entry.address or "", entry.action, entry.object, change)
