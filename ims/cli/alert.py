"""`ims alert …`: alerts that sources report."""

from typing import Annotated, Any, Final

import typer

from ims.cli.client import api, place
from ims.cli.group import examples, group
from ims.cli.incident import OfEnvironment, OfService, OfSeverity
from ims.cli.output import Json, Limit, local, print_fields, print_json, print_table, say

app = group("alert", "List the alerts that sources report, and when each fired.")

_COLUMNS: Final = ("alert", "state", "severity", "service", "source", "last seen", "name")
_EPISODES: Final = ("fired", "until", "incident", "notifications")


@app.command("list", epilog=examples("ims alert list --firing", "ims alert list --source alertmanager --json"))
def list_alerts(
    firing: Annotated[
        bool | None, typer.Option("--firing/--no-firing", help="Only firing alerts, or only those not firing.")
    ] = None,
    source: Annotated[str, typer.Option(help="Only from this source.")] = "",
    service: OfService = "",
    environment: OfEnvironment = "",
    name: Annotated[str, typer.Option(help="Only with this name.")] = "",
    severity: OfSeverity = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List alerts, newest first.

    With --firing, the alerts that are firing right now. `ims incident list` shows the incidents they opened.
    """
    is_firing = None if firing is None else str(firing).lower()
    rows = api().first(
        "/alerts", limit, firing=is_firing, source=source, service=service, environment=environment, name=name,
        severity=severity and severity.value,
    )  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "No alerts.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    state = "firing" if row["firing"] else "resolved"
    return (row["id"], state, row["severity"], row["service"], row["source"], local(row["last_seen_at"]), row["name"])


@app.command("show", epilog=examples("ims alert show 1"))
def show_alert(
    alert: Annotated[int, typer.Argument(metavar="ID", help="ID from `ims alert list`.")], as_json: Json = False
) -> None:
    """Show an alert and when it fired.

    Prints its labels and annotations as the source sent them, its episodes, and their incidents. Use it when the
    incident alone does not show what is wrong.
    """
    found = api().get(place("alerts", alert))
    if as_json:
        print_json(found)
        return
    print_fields({name: value for name, value in found.items() if name not in ("episodes", "incidents")})
    say()
    rows = [
        (local(one["opened_at"]), local(one["closed_at"]) or "now", one["incident"], one["notifications"])
        for one in found["episodes"]
    ]
    print_table(_EPISODES, rows, "It has not fired.")
