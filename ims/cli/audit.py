"""`ims audit …`: who changed what, and from where."""

from typing import Annotated, Any, Final

import typer

from ims.cli.client import api
from ims.cli.given import Since, Until, moment
from ims.cli.group import examples, group
from ims.cli.output import Json, Limit, cut, escaped, local, print_json, print_table, say

app = group("audit", "List and export the audit log: who changed what, and from where.")

_COLUMNS: Final = ("id", "at", "by", "from", "action", "object", "change")
_CHANGE_WIDTH: Final = 80

Actor = Annotated[str, typer.Option(help="Only by this actor: alice, or a token such as 'alice (T-3)'.")]
Action = Annotated[str, typer.Option(help="Only this action, such as user.disabled.")]
Kind = Annotated[str, typer.Option(help="Only on this kind of object, such as incident.")]
Object = Annotated[str, typer.Option("--object", help="Only on this object, such as INC-42.")]
Address = Annotated[str, typer.Option(help="Only from this address.")]


@app.command("list", epilog=examples("ims audit list --kind user", "ims audit list --actor admin --limit 5 --json"))
def list_entries(
    actor: Actor = "",
    action: Action = "",
    kind: Kind = "",
    object_: Object = "",
    address: Address = "",
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List audit log entries, newest first.

    Shows who changed something, from which address, and the values before and after. For administrators.
    """
    rows = api().first(
        "/audit", limit, actor=actor, action=action, kind=kind, object=object_, address=address,
        since=moment(since, "--since"), until=moment(until, "--until"),
    )  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "No entries.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    before, after = row["before"] or {}, row["after"] or {}
    changes = [
        f"{name}: {after.get(name)}" if name not in before else f"{name}: {before[name]} → {after.get(name)}"
        for name in {**before, **after}
    ]
    change = cut(", ".join(changes), _CHANGE_WIDTH)
    return (row["id"], local(row["at"]), row["actor"], row["address"], row["action"], row["object"], change)


@app.command("export", epilog=examples("ims audit export --since 2026-03-01"))
def export(
    actor: Actor = "",
    action: Action = "",
    kind: Kind = "",
    object_: Object = "",
    address: Address = "",
    since: Since = None,
    until: Until = None,
) -> None:
    """Export audit log entries as JSON lines.

    For an archive or a log store. Newest first; streamed, so the size of the log does not matter.
    """
    for line in api().lines(
        "/audit/export", actor=actor, action=action, kind=kind, object=object_, address=address,
        since=moment(since, "--since"), until=moment(until, "--until"),
    ):  # fmt: skip
        say(escaped(line))
