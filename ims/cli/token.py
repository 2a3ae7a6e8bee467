"""`ims token …`: credentials of sources and of people's programs."""

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from ims.cli.client import api, place
from ims.cli.errors import Wrong
from ims.cli.given import seconds
from ims.cli.group import examples, group
from ims.cli.output import Json, changed, local, note, print_json, print_table, say

app = group("token", "Create, list, rotate and revoke tokens of sources and of people.")

_COLUMNS: Final = ("token", "of", "scope", "label", "state", "created", "expires", "last used")


class Scope(StrEnum):
    """What a token may do for a user; each includes the one before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


Token = Annotated[str, typer.Argument(metavar="TOKEN", help="T-3 or 3.")]


@app.command(
    "create",
    epilog=examples("ims token create alertmanager", "ims token create --user admin --scope read --expires 90d"),
)
def create(
    source: Annotated[str, typer.Argument(metavar="[SOURCE]", help="Who sends alerts by it.", show_default=False)] = "",
    named_source: Annotated[str, typer.Option("--source", metavar="SOURCE", help="The same.")] = "",
    user: Annotated[str, typer.Option(metavar="USER", help="Whom it acts for.")] = "",
    scope: Annotated[Scope | None, typer.Option(help="What it may do for a user (default: read).")] = None,
    label: Annotated[str, typer.Option(help="Where it is used.")] = "",
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it works, such as 90d; default: until revoked.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a token.

    Of a source, which sends alerts by it, or of an account, whose programs act by it. It is shown now and never again;
    it alone is printed on standard output, so that a script can take it.
    """
    source = source or named_source
    if bool(source) == bool(user):
        raise Wrong("Name a source, or a user by --user.")
    if source and scope is not None:
        raise Wrong("--scope: is for the tokens of a user: a source's may send alerts.")
    given = {
        "source": source, "user": user, "label": label, "scope": (scope or Scope.READ).value if user else None,
        "seconds": None if expires is None else int(seconds(expires, "--expires")),
    }  # fmt: skip
    made = api().ask("POST", "/tokens", body={name: value for name, value in given.items() if value})
    _show_made(made, as_json=as_json)


def _show_made(made: dict[str, Any], more: str = "", *, as_json: bool) -> None:
    if as_json:
        print_json({"id": made["token"], "token": made["secret"]})
        return
    say(made["secret"])
    note(f"This is {made['token']}. It is shown only now: keep it as a secret. {more}".rstrip())


@app.command("list", epilog=examples("ims token list", "ims token list --source alertmanager --json"))
def list_tokens(
    source: Annotated[str, typer.Option(help="Only of this source.")] = "",
    user: Annotated[str, typer.Option(help="Only of this user.")] = "",
    as_json: Json = False,
) -> None:
    """List tokens.

    What each is for and when it was last used: read it before you revoke one. Their text is stored nowhere.
    """
    rows = api().every("/tokens", source=source, user=user)
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "No tokens.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    used = local(row["last_used_at"]) or "never"
    return (
        row["token"], row["source"] or row["user"], ", ".join(row["scopes"]), row["label"], row["state"],
        local(row["created_at"]), local(row["expires_at"]), used,
    )  # fmt: skip


@app.command("rotate", epilog=examples("ims token rotate T-1 --overlap 1h"))
def rotate(
    token: Token,
    overlap: Annotated[str, typer.Option(metavar="TIME", help="How long the old one goes on working.")] = "1h",
    as_json: Json = False,
) -> None:
    """Replace a token by a new one.

    As often as your rules ask for it. The old one goes on working for a while (--overlap), so that senders can be
    changed one after the other.
    """
    length = int(seconds(overlap, "--overlap"))
    made = api().ask("POST", place("tokens", token, "rotate"), body={"overlap": length})
    more = f"The old one works for {overlap} more." if length else "The old one has ended."
    _show_made(made, more, as_json=as_json)


@app.command("revoke", epilog=examples("ims token revoke T-2"))
def revoke(token: Token) -> None:
    """Revoke a token at once.

    When it leaked, or nobody uses it any more. A revoked token never works again.
    """
    name = token if token.upper().startswith("T-") else f"T-{token}"
    ended = any(one["token"] == name.upper() and one["state"] == "ended" for one in api().every("/tokens"))
    api().ask("DELETE", place("tokens", token))
    changed(not ended)
