"""`ims token …`: tokens of sources and accounts."""

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from ims.cli.client import api, place
from ims.cli.errors import Wrong
from ims.cli.given import seconds
from ims.cli.group import examples, group
from ims.cli.output import Json, changed, local, note, print_json, print_table, say

app = group("token", "Create, list, rotate and revoke tokens of sources and accounts.")

_COLUMNS: Final = ("token", "of", "scope", "label", "state", "created", "expires", "last used")


class Scope(StrEnum):
    """Rights of a user's token; each scope includes the previous one."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


Token = Annotated[str, typer.Argument(metavar="TOKEN", help="T-3 or 3.")]


@app.command(
    "create",
    epilog=examples("ims token create alertmanager", "ims token create --user admin --scope read --expires 90d"),
)
def create(
    source: Annotated[
        str, typer.Argument(metavar="[SOURCE]", help="Source that sends alerts with it.", show_default=False)
    ] = "",
    named_source: Annotated[str, typer.Option("--source", metavar="SOURCE", help="Same as the argument.")] = "",
    user: Annotated[str, typer.Option(metavar="USER", help="Account it acts for.")] = "",
    scope: Annotated[Scope | None, typer.Option(help="Rights of a user's token (default: read).")] = None,
    label: Annotated[str, typer.Option(help="Where it is used.")] = "",
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Lifetime, such as 90d (default: does not expire).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a token.

    Either of a source, to send alerts, or of an account, for its programs. The token is shown only once. Standard
    output contains only the token, for use in scripts.
    """
    source = source or named_source
    if bool(source) == bool(user):
        raise Wrong("Give either a source or --user.")
    if source and scope is not None:
        raise Wrong("--scope: applies only to tokens of a user; a source's token can only send alerts.")
    given = {
        "source": source, "user": user, "label": label, "scope": (scope or Scope.READ).value if user else None,
        "seconds": None if expires is None else int(seconds(expires, "--expires")),
    }  # fmt: skip
    made = api().request("POST", "/tokens", body={name: value for name, value in given.items() if value})
    _print_created(made, as_json=as_json)


def _print_created(made: dict[str, Any], more: str = "", *, as_json: bool) -> None:
    if as_json:
        print_json({"id": made["token"], "token": made["secret"]})
        return
    say(made["secret"])
    note(f"This is {made['token']}. It is shown only once; store it as a secret. {more}".rstrip())


@app.command("list", epilog=examples("ims token list", "ims token list --source alertmanager --json"))
def list_tokens(
    source: Annotated[str, typer.Option(help="Only of this source.")] = "",
    user: Annotated[str, typer.Option(help="Only of this user.")] = "",
    as_json: Json = False,
) -> None:
    """List tokens.

    Shows what each is for, and when it was last used: check that before you revoke one. IMS stores only hashes, so it
    cannot show the tokens themselves.
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
    overlap: Annotated[str, typer.Option(metavar="TIME", help="How long the old token stays valid.")] = "1h",
    as_json: Json = False,
) -> None:
    """Replace a token with a new one.

    The old token stays valid for a while (--overlap), so that senders can be updated one after the other.
    """
    length = int(seconds(overlap, "--overlap"))
    made = api().request("POST", place("tokens", token, "rotate"), body={"overlap": length})
    more = f"The old token stays valid for {overlap}." if length else "The old token has been revoked."
    _print_created(made, more, as_json=as_json)


@app.command("revoke", epilog=examples("ims token revoke T-2"))
def revoke(token: Token) -> None:
    """Revoke a token at once.

    Use it when a token has leaked or is no longer used. This cannot be undone.
    """
    name = token if token.upper().startswith("T-") else f"T-{token}"
    ended = any(one["token"] == name.upper() and one["state"] == "ended" for one in api().every("/tokens"))
    api().request("DELETE", place("tokens", token))
    changed(not ended)
