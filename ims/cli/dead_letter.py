"""`ims rejected …`: what senders sent and nobody could read."""

import argparse
from typing import Any, Final

from ims.alerts.dead_letters import (
    NoSuchDeadLetter,
    Retried,
    Wanted,
    drop,
    find_rejected,
    rejected_ids,
    rejected_one,
    retry,
)
from ims.alerts.models import RejectedAlert
from ims.alerts.notifications import RejectReason
from ims.cli.local import add_json, command_database, local_context
from ims.cli.terminal import local, print_fields, print_json, print_table
from ims.core.db.engine import Database
from ims.core.errors import Invalid
from ims.core.wording import iso

_COLUMNS: Final = ("id", "received", "source", "reason", "message")
_MESSAGE_WIDTH: Final = 80
_GONE: Final = "gone"
"""What became of one that somebody else has tried or dropped meanwhile."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    group = subparsers.add_parser("rejected", help="alerts that could not be accepted: list, show, retry, drop")
    commands = group.add_subparsers(dest="rejected_command", metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="newest first")
    _add_filters(listing)
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default 20)")
    add_json(listing)
    listing.set_defaults(run=_list)
    showing = commands.add_parser("show", help="one of them, with its body")
    showing.add_argument("id", type=int, metavar="ID")
    add_json(showing)
    showing.set_defaults(run=_show)
    retrying = commands.add_parser("retry", help="read them again as they are read today, and take them")
    _add_choice(retrying)
    add_json(retrying)
    retrying.set_defaults(run=_retry)
    dropping = commands.add_parser("drop", help="remove them for good")
    _add_choice(dropping)
    dropping.set_defaults(run=_drop)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", metavar="SOURCE", help="only of this source")
    parser.add_argument("--reason", choices=list(RejectReason), help="only for this reason")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", type=int, nargs="*", metavar="ID")
    parser.add_argument("--all", action="store_true", help="all of them, or all that the filters leave")
    _add_filters(parser)


def _wanted(arguments: argparse.Namespace) -> Wanted:
    return Wanted(tuple(getattr(arguments, "ids", ())), arguments.source, arguments.reason)


def _chosen(database: Database, arguments: argparse.Namespace) -> list[int]:
    """Ids that the command line means. Raises `Invalid` unless it names some, or says `--all`."""
    if bool(arguments.ids) == arguments.all:
        raise Invalid("Name rejected alerts by their ids, or say --all.")
    with database.begin() as session:
        return rejected_ids(session, _wanted(arguments))


def _list(arguments: argparse.Namespace) -> int:
    with command_database() as database, database.begin() as session:
        found = find_rejected(session, _wanted(arguments), max(arguments.limit, 1))
        if arguments.json:
            print_json([as_json(one) for one in found])
        elif found:
            print_table(_COLUMNS, [_row(one) for one in found])
        else:
            print("Nothing was rejected.")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with command_database() as database, database.begin() as session:
        shown = as_json(rejected_one(session, arguments.id))
    (print_json if arguments.json else print_fields)(shown)
    return 0


def _retry(arguments: argparse.Namespace) -> int:
    """Each in a transaction of its own: one that the database refuses does not keep the others back."""
    retried = []
    with command_database() as database:
        for rejected_id in _chosen(database, arguments):
            try:
                with local_context(database) as context:
                    retried.append(retry(context, rejected_id))
            except NoSuchDeadLetter as gone:
                retried.append(Retried(rejected_id, _GONE, gone.message))
    if arguments.json:
        print_json([{"id": one.id, "result": one.result, "message": one.message} for one in retried])
    elif retried:
        print_table(("id", "result", "message"), [(str(one.id), one.result, one.message) for one in retried])
    else:
        print("There is nothing to try again.")
    return 0 if all(one.is_taken and one.result != _GONE for one in retried) else 1


def _drop(arguments: argparse.Namespace) -> int:
    with command_database() as database:
        chosen = _chosen(database, arguments)
        with local_context(database) as context:
            dropped = drop(context, chosen)
    print(f"{dropped} dropped")
    return 0


def as_json(one: RejectedAlert) -> dict[str, Any]:
    """A rejected alert as people and programs see it."""
    return {
        "id": one.id,
        "received_at": iso(one.received_at),
        "source": one.source,
        "reason": one.reason,
        "message": one.details.get("message", ""),
        "place": one.details.get("place"),
        "body": one.body,
    }


def _row(one: RejectedAlert) -> tuple[str, ...]:
    message = str(one.details.get("message", ""))
    return (
        str(one.id),
        local(one.received_at),
        one.source,
        one.reason,
        message if len(message) <= _MESSAGE_WIDTH else f"{message[: _MESSAGE_WIDTH - 1]}…",
    )
