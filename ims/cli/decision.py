"""`ims decision …`: why a run started or not."""

import json
from typing import Annotated, Any, Final

import typer

from ims.cli.client import api, place
from ims.cli.given import named
from ims.cli.group import examples, group
from ims.cli.output import Json, Limit, cut, local, print_json, print_table, printable, say

app = group("decision", "Show why a run started or not, and the result of each guard.")

_COLUMNS: Final = ("decision", "incident", "rule", "outcome", "reason", "run", "times", "last", "message")
_PARTS: Final = ("guards", "facts")
_MESSAGE_WIDTH: Final = 60


@app.command("list", epilog=examples("ims decision list", "ims decision list --incident INC-1 --json"))
def list_decisions(
    incident: Annotated[str, typer.Option(help="Only about this incident: INC-42 or 42.")] = "",
    rule: Annotated[str, typer.Option(help="Only with this healing rule.")] = "",
    outcome: Annotated[str, typer.Option(help="Only with this outcome, such as denied.")] = "",
    reason: Annotated[str, typer.Option(help="Only with this reason, such as cooldown.")] = "",
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List decisions, newest first.

    Use `--outcome denied` to see which guard prevented a run. Repeated equal decisions are one row with a count.
    """
    rows = api().first("/decisions", limit, incident=incident, rule=rule, outcome=outcome, reason=reason)
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "No decisions.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["decision"], row["incident"], row["rule"], row["outcome"], row["reason"], row["run"], row["count"],
        local(row["last_at"]), cut(row["message"], _MESSAGE_WIDTH),
    )  # fmt: skip


@app.command("show", epilog=examples("ims decision show D-1"))
def show_decision(
    name: Annotated[str, typer.Argument(metavar="DECISION", help="D-12 or 12.")], as_json: Json = False
) -> None:
    """Show a decision: the result of each guard, and the facts.

    Use it when a service was not healed, or was healed and should not have been.
    """
    found = api().get(place("decisions", named(name, "D", "decision")))
    if as_json:
        print_json(found)
        return
    for field, value in found.items():
        if value not in (None, "") and field not in _PARTS:
            say(f"{field:<10}{printable(local(value) if field.endswith('_at') else value)}")
    say("\nguards")
    for result in found["guards"]:
        say(f"  {result['guard']:<16}{result['answer']:<6}{printable(result['message'])}".rstrip())
    say("\nfacts")
    for field, value in found["facts"].items():
        say(f"  {field:<16}{printable(json.dumps(value))}")
