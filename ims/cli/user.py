"""`ims user …`: accounts and their roles."""

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from ims.cli.client import api, place
from ims.cli.errors import Wrong
from ims.cli.given import PasswordFile, password
from ims.cli.group import examples, group
from ims.cli.output import Json, changed, local, print_json, print_table, say, show

app = group("user", "Manage accounts: add, list, show, set, passwd, disable, enable, sign-out.")

_COLUMNS: Final = ("user", "role", "state", "signs in by", "teams", "email")


class Role(StrEnum):
    """Rights of an account; each role includes the previous one."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(metavar="USER", help="Name of the account.")]


@app.command("add", epilog=examples("ims user add dora --role responder --no-password"))
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="Rights of the account.")] = Role.RESPONDER,
    email: Annotated[str, typer.Option(metavar="ADDRESS", help="E-mail address.")] = "",
    team: Annotated[list[str] | None, typer.Option(metavar="TEAM", help="Team to join; repeatable.")] = None,
    password_file: PasswordFile = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="No sign-in until it is linked or gets a password.")
    ] = False,
) -> None:
    """Add an account.

    For a person, it prompts for the password. A program needs no password (--no-password): it uses a token.
    """
    given = {
        "name": name, "role": role.value, "email": email, "teams": team or [],
        "password": None if no_password else password(password_file),
    }  # fmt: skip
    made = api().request("POST", "/users", body={key: value for key, value in given.items() if value})
    say(f"{made['name']} is {made['role']}.")


@app.command("list", epilog=examples("ims user list"))
def list_users(as_json: Json = False) -> None:
    """List accounts.

    Shows the role of each account and how it signs in. Disabled accounts are included.
    """
    rows = api().every("/users")
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "No accounts.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    state = f"{row['state']} {local(row['disabled_at'])}".rstrip()
    return (row["name"], row["role"], state, row["signs_in_by"], ", ".join(row["teams"]), row["email"])


@app.command("show", epilog=examples("ims user show admin"))
def show_user(name: Name, as_json: Json = False) -> None:
    """Show an account.

    Prints its role, its teams and its subject at the identity provider. Use it to see why a user is not allowed to do
    something.
    """
    show(api().get(place("users", name)), as_json=as_json)


@app.command("set", epilog=examples("ims user set dora --role viewer"))
def set_fields(
    name: Name,
    role: Annotated[Role | None, typer.Option(help="New role; a change ends its sessions.")] = None,
    email: Annotated[str | None, typer.Option(metavar="ADDRESS", help="New address; `none` removes it.")] = None,
) -> None:
    """Change an account.

    Omitted options keep their values. A new role ends the account's sessions, so that no session keeps the old role.
    """
    given = {"role": role and role.value, "email": email}
    fields = {key: value for key, value in given.items() if value is not None}
    if fields.get("email", "").lower() == "none":
        fields["email"] = ""
    if not fields:
        raise Wrong("Give at least one option, such as --role viewer.")
    _change(name, fields)


@app.command("passwd", epilog=examples("ims user passwd dora --password-file FILE"))
def set_password(name: Name, password_file: PasswordFile = None) -> None:
    """Set the password of an account.

    Ends its sessions. If no administrator can sign in any more, use `ims admin user passwd` on the machine of the
    database.
    """
    api().request("POST", place("users", name, "password"), body={"password": password(password_file)})
    changed(True)


@app.command("disable", epilog=examples("ims user disable dora"))
def disable(name: Name) -> None:
    """Disable an account.

    Disable the account and revoke its sessions and tokens, at once. Timelines and the audit log keep its name.
    """
    _change(name, {"enabled": False})


@app.command("enable", epilog=examples("ims user enable dora"))
def enable(name: Name) -> None:
    """Enable an account again.

    Revoked tokens stay revoked: create new ones.
    """
    _change(name, {"enabled": True})


@app.command("sign-out", epilog=examples("ims user sign-out dora"))
def sign_out(name: Name) -> None:
    """End all sessions of an account.

    Use it for a lost laptop. Tokens stay valid: revoke those with `ims token revoke`.
    """
    api().request("POST", place("users", name, "sign-out"))
    say(f"All sessions of {name} have ended.")


def _change(name: str, fields: dict[str, Any]) -> None:
    before = api().get(place("users", name))
    changed(api().request("PATCH", place("users", name), body=fields) != before)
