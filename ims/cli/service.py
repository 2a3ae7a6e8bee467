"""`ims service …`: services and their current state."""

from typing import Annotated, Any, Final

import typer

from ims.cli.client import api, place
from ims.cli.group import examples, group
from ims.cli.output import Json, print_json, print_table, show

app = group("service", "List the services of the active policy and whether they are healthy.")

_COLUMNS: Final = ("service", "state", "environment", "team", "recovery", "incidents", "run")


@app.command("list", epilog=examples("ims service list", "ims service list --state firing --json"))
def list_services(
    state: Annotated[str, typer.Option(help="Only in this state, such as firing, healing or maintenance.")] = "",
    team: Annotated[str, typer.Option(help="Only of this team.")] = "",
    environment: Annotated[str, typer.Option(help="Only of this environment.")] = "",
    as_json: Json = False,
) -> None:
    """List services and whether they are healthy.

    The quickest way to see whether anything is wrong. Services are the hosts in the inventory's group `services` of the
    active policy.
    """
    rows = api().every("/services", state=state, team=team, environment=environment)
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], f"No service is {state}." if state else "No services.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    incidents = ", ".join(row["incidents"])
    return (row["name"], row["state"], row["environment"], row["team"], row["recovery"], incidents, row["run"])


@app.command("show", epilog=examples("ims service show ims-web"))
def show_service(
    name: Annotated[str, typer.Argument(metavar="SERVICE", help="The inventory host.")], as_json: Json = False
) -> None:
    """Show a service.

    Prints its description in the inventory (owner, team, runbook, recovery) and its current state. Read it before you
    work on a service that you do not know.
    """
    show(api().get(place("services", name)), as_json=as_json)
