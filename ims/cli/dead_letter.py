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

Id = Annotated[int, typer.Argument(metavar="ID", help="As the list has it.")]
Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="As the list has them.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All of them, or all that the filters leave.")]
OfSource = Annotated[str, typer.Option("--source", help="Only of this source.")]
OfReason = Annotated[str, typer.Option("--reason", help="Only for this reason, such as not_an_object.")]


@app.command("list", epilog=examples("ims dead-letter list", "ims dead-letter list --source alertmanager --json"))
def list_dead_letters(source: OfSource = "", reason: OfReason = "", limit: Limit = 20, as_json: Json = False) -> None:
    """List dead letters, newest first.

    When a sender says that it sent an alert, and there is none: what could not be processed is here, with the reason.
    """
    rows = api().first(PATH, limit, source=source, reason=reason)
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "Everything could be processed.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    message = cut(row["message"], _MESSAGE_WIDTH)
    # A server of an earlier version does not count them.
    if (occurrences := row.get("occurrences", 1)) > 1:
        message += f" ({occurrences:,} of these)"
    return (row["id"], local(row["received_at"]), row["source"], row["reason"], message)


@app.command("show", epilog=examples("ims dead-letter show 1"))
def show_dead_letter(letter: Id, as_json: Json = False) -> None:
    """Show a dead letter.

    With its body as it came, to see what the sender does differently.
    """
    show(api().get(f"{PATH}/{letter}"), as_json=as_json)


@app.command("retry", epilog=examples("ims dead-letter retry --all", "ims dead-letter retry 1"))
def retry(
    ids: Ids = None, everything: All = False, source: OfSource = "", reason: OfReason = "", as_json: Json = False
) -> None:
    """Process dead letters again.

    After an upgrade, or once the sender's source is of the right kind. What can be processed now becomes an alert. Ends
    with 1 if one still could not be processed.
    """
    done = [api().ask("POST", f"{PATH}/{letter}/retry") for letter in _chosen(ids, everything, source, reason)]
    if as_json:
        print_json(done)
    else:
        rows = [(one["id"], one["result"], one["message"]) for one in done]
        print_table(("id", "result", "message"), rows, "There is nothing to try again.")
    left = [one for one in done if one["message"]]
    if left:
        raise CommandFailed(f"{len(left)} still could not be processed.")


@app.command("drop", epilog=examples("ims dead-letter drop 1", "ims dead-letter drop --all --reason not_an_object"))
def drop(ids: Ids = None, everything: All = False, source: OfSource = "", reason: OfReason = "") -> None:
    """Remove dead letters for good.

    When you have seen them, and the sender is mended.
    """
    chosen = _chosen(ids, everything, source, reason)
    for letter in chosen:
        api().ask("DELETE", f"{PATH}/{letter}")
    say(f"{len(chosen)} dropped")


def _chosen(ids: list[int] | None, everything: bool, source: str, reason: str) -> list[int]:
    """What the command line means. Raises `Wrong` unless it names some, or says `--all`."""
    if bool(ids) == everything:
        raise Wrong("Name dead letters by their ids, or say --all.")
    return ids or [int(row["id"]) for row in api().every(PATH, source=source, reason=reason)]
