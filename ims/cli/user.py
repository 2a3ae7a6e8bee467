"""`ims user …`: who may sign in, and what they may do."""

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
    """What an account may do; each includes the one before it."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(metavar="USER", help="Its name.")]


@app.command("add", epilog=examples("ims user add dora --role responder --no-password"))
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.RESPONDER,
    email: Annotated[str, typer.Option(metavar="ADDRESS", help="Its e-mail address.")] = "",
    team: Annotated[list[str] | None, typer.Option(metavar="TEAM", help="A team it is on; repeatable.")] = None,
    password_file: PasswordFile = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Nobody can sign in to it until it is linked or gets a password.")
    ] = False,
) -> None:
    """Add an account.

    For a person, whose password is asked for, or for a program, which needs none (--no-password): it acts by a token.
    """
    given = {
        "name": name, "role": role.value, "email": email, "teams": team or [],
        "password": None if no_password else password(password_file),
    }  # fmt: skip
    made = api().ask("POST", "/users", body={key: value for key, value in given.items() if value})
    say(f"{made['name']} is {made['role']}.")


@app.command("list", epilog=examples("ims user list"))
def list_users(as_json: Json = False) -> None:
    """List accounts.

    Who may do what, and how each signs in; disabled ones are among them.
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

    With its role, its teams and its name at the identity provider: to see why somebody may not do something.
    """
    show(api().get(place("users", name)), as_json=as_json)


@app.command("set", epilog=examples("ims user set dora --role viewer"))
def set_fields(
    name: Name,
    role: Annotated[Role | None, typer.Option(help="What it may do; another one ends its sessions.")] = None,
    email: Annotated[str | None, typer.Option(metavar="ADDRESS", help="`none` takes it away.")] = None,
) -> None:
    """Change an account.

    When somebody's job changes. What is not given stays. Another role ends the account's sessions, so that nobody goes
    on with the old one.
    """
    given = {"role": role and role.value, "email": email}
    fields = {key: value for key, value in given.items() if value is not None}
    if fields.get("email", "").lower() == "none":
        fields["email"] = ""
    if not fields:
        raise Wrong("Name something to change, such as --role viewer.")
    _change(name, fields)


@app.command("passwd", epilog=examples("ims user passwd dora --password-file FILE"))
def set_password(name: Name, password_file: PasswordFile = None) -> None:
    """Set another password.

    When somebody forgot it; ends the account's sessions. When no administrator can sign in any more, `ims admin user
    passwd` does it on the machine of the database.
    """
    api().ask("POST", place("users", name, "password"), body={"password": password(password_file)})
    changed(True)


@app.command("disable", epilog=examples("ims user disable dora"))
def disable(name: Name) -> None:
    """Disable an account.

    When somebody leaves: its sessions and tokens are revoked at once. What it did stays in timelines and in the audit
    log.
    """
    _change(name, {"enabled": False})


@app.command("enable", epilog=examples("ims user enable dora"))
def enable(name: Name) -> None:
    """Enable an account again.

    When somebody is back. Tokens that were revoked stay so: create others.
    """
    _change(name, {"enabled": True})


@app.command("sign-out", epilog=examples("ims user sign-out dora"))
def sign_out(name: Name) -> None:
    """End all sessions of an account.

    For a lost laptop. Tokens go on working: `ims token revoke` ends those.
    """
    api().ask("POST", place("users", name, "sign-out"))
    say(f"{name} is signed out everywhere.")


def _change(name: str, fields: dict[str, Any]) -> None:
    before = api().get(place("users", name))
    changed(api().ask("PATCH", place("users", name), body=fields) != before)
