"""`ims dead-letter …`: alerts that could not be processed."""

from typing import Annotated, Any, Final

import typer

from ims.cli.client import api
from ims.cli.errors import CommandFailed, Wrong
from ims.cli.group import examples, group
from ims.cli.output import Json, Limit, cut, local, print_json, print_table, say, show

app = group("dead-letter", "Show, retry and drop alerts that could not be processed.")

PATH: Final = "/dead-letters"
_COLUMNS: Final = ("id", "received", "source", "reason", "message")
_MESSAGE_WIDTH: Final = 80

Id = Annotated[int, typer.Argument(metavar="ID", help="ID from `ims dead-letter list`.")]
Ids = Annotated[
    list[int] | None, typer.Argument(metavar="[ID]...", help="IDs from `ims dead-letter list`.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All dead letters, or all that match the filters.")]
OfSource = Annotated[str, typer.Option("--source", help="Only from this source.")]
OfReason = Annotated[str, typer.Option("--reason", help="Only with this reason, such as not_an_object.")]


@app.command("list", epilog=examples("ims dead-letter list", "ims dead-letter list --source alertmanager --json"))
def list_dead_letters(source: OfSource = "", reason: OfReason = "", limit: Limit = 20, as_json: Json = False) -> None:
    """List dead letters, newest first.

    Use it when a sender has sent an alert and IMS does not show it: alerts that could not be processed are listed with
    the reason.
    """
    rows = api().first(PATH, limit, source=source, reason=reason)
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "No dead letters.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    message = cut(row["message"], _MESSAGE_WIDTH)
    # A server of an earlier version does not count them.
    if (occurrences := row.get("occurrences", 1)) > 1:
        message += f" ({occurrences:,} of these)"
    return (row["id"], local(row["received_at"]), row["source"], row["reason"], message)


@app.command("show", epilog=examples("ims dead-letter show 1"))
def show_dead_letter(letter: Id, as_json: Json = False) -> None:
    """Show a dead letter.

    Prints its body as received, to see what is wrong with it.
    """
    show(api().get(f"{PATH}/{letter}"), as_json=as_json)


@app.command("retry", epilog=examples("ims dead-letter retry --all", "ims dead-letter retry 1"))
def retry(
    ids: Ids = None, everything: All = False, source: OfSource = "", reason: OfReason = "", as_json: Json = False
) -> None:
    """Process dead letters again.

    Use it after an upgrade, or after you have corrected the kind of the source. Each that can be processed now becomes
    an alert. Exits with 1 if any still cannot be processed.
    """
    done = [api().request("POST", f"{PATH}/{letter}/retry") for letter in _chosen(ids, everything, source, reason)]
    if as_json:
        print_json(done)
    else:
        rows = [(one["id"], one["result"], one["message"]) for one in done]
        print_table(("id", "result", "message"), rows, "Nothing to retry.")
    left = [one for one in done if one["message"]]
    if left:
        raise CommandFailed(f"{len(left)} still could not be processed.")


@app.command("drop", epilog=examples("ims dead-letter drop 1", "ims dead-letter drop --all --reason not_an_object"))
def drop(ids: Ids = None, everything: All = False, source: OfSource = "", reason: OfReason = "") -> None:
    """Delete dead letters.

    Use it when the sender is fixed and the alerts are no longer needed. This cannot be undone.
    """
    chosen = _chosen(ids, everything, source, reason)
    for letter in chosen:
        api().request("DELETE", f"{PATH}/{letter}")
    say(f"{len(chosen)} dropped")


def _chosen(ids: list[int] | None, everything: bool, source: str, reason: str) -> list[int]:
    """The ids of the selected dead letters. Raises `Wrong` unless either ids or `--all` is given."""
    if bool(ids) == everything:
        raise Wrong("Give either the ids of dead letters or --all.")
    return ids or [int(row["id"]) for row in api().every(PATH, source=source, reason=reason)]
