"""`ims decision …`: why a run started or did not, in a terminal."""

import argparse
import json
from typing import Final

from ims.api.v1.schemas.decisions import DecisionResponse, render_decision
from ims.cli.local import add_json, command_session
from ims.cli.terminal import print_json, print_table
from ims.core.errors import NotFound
from ims.healing.models import DecisionOutcome
from ims.healing.queries import DecisionFilters, decision_listed, list_decisions

_COLUMNS: Final = ("decision", "incident", "rule", "outcome", "reason", "run", "times", "last", "message")
_MESSAGE_WIDTH: Final = 60
_LONGEST: Final = 18
"""Digits of a number that the database can hold."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    group = subparsers.add_parser("decision", help="why a run started or did not: list, show")
    commands = group.add_subparsers(dest="decision_command", metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="decisions, newest first")
    listing.add_argument("--incident", metavar="INCIDENT", help="only about this incident: INC-42 or 42")
    listing.add_argument("--rule", help="only of this healing rule")
    listing.add_argument("--outcome", choices=[one.value for one in DecisionOutcome], help="only with this outcome")
    listing.add_argument("--reason", help="only for this reason, such as cooldown")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default 20)")
    add_json(listing)
    listing.set_defaults(run=_list)
    showing = commands.add_parser("show", help="one decision with what each guard said")
    showing.add_argument("name", metavar="DECISION", help="D-12 or 12")
    add_json(showing)
    showing.set_defaults(run=_show)


def _list(arguments: argparse.Namespace) -> int:
    filters = DecisionFilters(
        incident=_number(arguments.incident, "INC-") if arguments.incident else 0,
        rule=arguments.rule or "",
        outcome=DecisionOutcome(arguments.outcome) if arguments.outcome else None,
        reason=arguments.reason or "",
    )
    with command_session() as session:
        found = [render_decision(one) for one in list_decisions(session, filters, limit=max(arguments.limit, 1))]
    if arguments.json:
        print_json([one.model_dump(mode="json") for one in found])
    elif found:
        print_table(_COLUMNS, [_row(one) for one in found])
    else:
        print("No decisions.")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with command_session() as session:
        shown = render_decision(decision_listed(session, _number(arguments.name, "D-")))
    if arguments.json:
        print_json(shown.model_dump(mode="json"))
        return 0
    for name, value in shown.model_dump(mode="json", exclude={"guards", "facts"}).items():
        if value not in (None, ""):
            print(f"{name:<10}{value}")
    print("\nguards")
    for said in shown.guards:
        print(f"  {said.guard:<16}{said.answer:<6}{said.message or ''}".rstrip())
    print("\nfacts")
    for name, value in shown.facts.items():
        print(f"  {name:<16}{json.dumps(value)}")
    return 0


def _row(one: DecisionResponse) -> tuple[str, ...]:
    message = one.message
    return (
        one.decision,
        one.incident,
        one.rule or "",
        one.outcome,
        one.reason,
        one.run or "",
        str(one.count),
        one.last_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        message if len(message) <= _MESSAGE_WIDTH else f"{message[: _MESSAGE_WIDTH - 1]}…",
    )


def _number(name: str, prefix: str) -> int:
    digits = name.upper().removeprefix(prefix)
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST):
        raise NotFound(f"There is no {name!r}: write {prefix}12 or 12.")
    return int(digits)
