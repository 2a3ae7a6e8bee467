"""`ims team …`: teams and their members."""

from typing import Annotated, Any, Final

import typer

from ims.cli.client import api, place
from ims.cli.errors import NothingThere
from ims.cli.group import examples, group
from ims.cli.output import Json, changed, print_json, print_table

app = group("team", "Manage teams: add, list, remove, join, leave.")

_COLUMNS: Final = ("team", "members")

Team = Annotated[str, typer.Argument(metavar="TEAM", help="Name of the team.")]
Names = Annotated[list[str], typer.Argument(metavar="USER...", help="Names of accounts.")]


@app.command("add", epilog=examples("ims team add storage"))
def add(team: Team) -> None:
    """Add a team.

    Services of the inventory and incidents refer to it by name. Its members can act on those incidents.
    """
    known = any(one["name"] == team for one in _teams())
    api().request("POST", "/teams", body={"name": team})
    changed(not known)


@app.command("list", epilog=examples("ims team list"))
def list_teams(as_json: Json = False) -> None:
    """List teams and their members.

    Shows who can act on the incidents of which team.
    """
    rows = _teams()
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [(row["name"], ", ".join(row["members"])) for row in rows], "No teams.")


@app.command("remove", epilog=examples("ims team remove storage"))
def remove(team: Team) -> None:
    """Remove a team and its memberships.

    Incidents keep the team's name; only administrators and assignees can act on them.
    """
    try:
        api().request("DELETE", place("teams", team))
    except NothingThere:
        changed(False)
    else:
        changed(True)


@app.command("join", epilog=examples("ims team join storage admin"))
def join(team: Team, names: Names) -> None:
    """Make accounts members of a team.

    They can act on the team's incidents from their next request on.
    """
    before = api().get(place("teams", team))
    for name in names:
        api().request("POST", place("teams", team, "members"), body={"user": name})
    changed(api().get(place("teams", team)) != before)


@app.command("leave", epilog=examples("ims team leave storage admin"))
def leave(team: Team, names: Names) -> None:
    """End memberships of a team.

    Incidents that are assigned to them stay assigned.
    """
    before = api().get(place("teams", team))
    for name in names:
        api().request("DELETE", place("teams", team, "members", name))
    changed(api().get(place("teams", team)) != before)


def _teams() -> list[dict[str, Any]]:
    return api().every("/teams")
