"""`ims run …`: executions of playbooks."""

import json
import re
import sys
import time
from typing import Annotated, Any, Final

import typer

from ims.cli.client import api, place
from ims.cli.errors import Away
from ims.cli.given import named
from ims.cli.group import examples, group
from ims.cli.output import Json, Limit, cut, local, print_json, print_table, say, show
from ims.core.shown import visible

app = group("run", "List and show runs of playbooks, and their logs.")

_FOLLOW_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 120
"""How long --follow retries while the server is down. IMS heals ims-web in less."""
_COLUMNS: Final = ("run", "outcome", "target", "rule", "attempt", "queued", "seconds", "reason")
_ACTIVE: Final = ("queued", "running", "verifying")
_REASON_WIDTH: Final = 60
_COLOUR: Final = re.compile(r"(\x1b\[[0-9;]*m)")

Name = Annotated[str, typer.Argument(metavar="RUN", help="R-7, 7 or the run's id.")]


@app.command("list", epilog=examples("ims run list --target checkout", "ims run list --incident INC-1 --json"))
def list_runs(
    target: Annotated[str, typer.Option(help="Only on this inventory host.")] = "",
    outcome: Annotated[
        str, typer.Option("--outcome", "--status", help="Only with this outcome, such as healed or failed.")
    ] = "",
    rule: Annotated[str, typer.Option(help="Only of this healing rule.")] = "",
    incident: Annotated[str, typer.Option(help="Only of this incident: INC-42 or 42.")] = "",
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List runs, newest first.

    Shows what automation did to a host (--target), for an incident (--incident), or which runs failed (--outcome
    failed).
    """
    rows = api().first("/runs", limit, target=target, outcome=outcome, rule=rule, incident=incident)
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "No runs.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    outcome, seconds = row["outcome"], row["seconds"]
    return (
        row["run"], f"{outcome} …" if outcome in _ACTIVE else outcome, row["target"], row["rule"], row["attempt"],
        local(row["queued_at"]), "" if seconds is None else f"{seconds:.1f}", cut(row["reason"], _REASON_WIDTH),
    )  # fmt: skip


@app.command("show", epilog=examples("ims run show R-1"))
def show_run(name: Name, as_json: Json = False) -> None:
    """Show a run.

    Prints its playbook, target, rule and reason. The status of the playbook and the verification of the service are
    separate: a playbook can succeed without making the service healthy.
    """
    show(api().get(place("runs", named(name, "R", "run"))), as_json=as_json)


@app.command("log", epilog=examples("ims run log R-1", "ims run log R-1 --follow"))
def show_log(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the log until the run has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Show the log of a run.

    Use it to see which task failed, and why. With --json it prints the run's events, one per line. --follow retries
    while the server is down, since the run may be healing that server.
    """
    after, path = 0, place("runs", named(name, "R", "run"), "log")
    while True:
        page = _page(path, after, retry_seconds=_RETRY_SECONDS if follow else 0)
        for event in page["items"]:
            after = event["counter"]
            if as_json:
                say(json.dumps(event))
            elif event["stdout"]:
                print(_printable(event["stdout"]), flush=True)
        if page["next"]:
            continue
        if not page["active"] or not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def _page(path: str, after: int, retry_seconds: float) -> Any:
    """The next part of a log. Raises `Away` if the server is down for longer than `retry_seconds`."""
    ends = time.monotonic() + retry_seconds
    while True:
        try:
            return api().get(path, after=after, limit=200)
        except Away:
            if time.monotonic() >= ends:
                raise
            time.sleep(_FOLLOW_SECONDS)


def _printable(text: str) -> str:
    """The text, which is untrusted, with its colours only on a terminal, and everything else that is invisible escaped.

    Carriage returns only animate a terminal, so they are left out.
    """
    parts = _COLOUR.split(text.replace("\r", ""))
    colours = parts[1::2] if sys.stdout.isatty() else [""] * (len(parts) // 2)
    return "".join(f"{visible(plain)}{colour}" for plain, colour in zip(parts[::2], [*colours, ""], strict=True))
