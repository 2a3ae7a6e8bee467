"""`ims user …` and `ims team …`: who may sign in, what they may do, and what they look after."""

import argparse
import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ims.accounts.people import usecases as actions
from ims.accounts.people.inputs import NewAccount, NewTeam
from ims.accounts.people.queries import NoSuchTeam, Person, TeamOfPeople, all_teams, people, person
from ims.accounts.people.teams import create_team, join_team, leave_team, remove_team
from ims.cli.local import add_json, command_session, local_context
from ims.cli.terminal import local, print_fields, print_json, print_table
from ims.core.context import Context
from ims.core.errors import FieldError, Invalid
from ims.core.principal import Role
from ims.core.settings import load_settings
from ims.core.validation import read
from ims.core.wording import iso

_PEOPLE: Final = ("user", "role", "state", "signs in by", "teams", "email")
_TEAMS: Final = ("team", "members")
_ROLES: Final = [role.value for role in Role]


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    users = subparsers.add_parser("user", help="who may sign in: add, list, show, set, passwd, disable, enable, …")
    _add_user_commands(users.add_subparsers(dest="user_command", metavar="COMMAND", required=True))
    teams = subparsers.add_parser("team", help="who looks after what: add, list, remove, join, leave")
    _add_team_commands(teams.add_subparsers(dest="team_command", metavar="COMMAND", required=True))


def _add_user_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    adding = commands.add_parser("add", help="a new account; asks for its password")
    adding.add_argument("name", metavar="USER")
    adding.add_argument("--role", choices=_ROLES, default=Role.RESPONDER.value, help="what it may do")
    adding.add_argument("--email", default="", metavar="ADDRESS")
    adding.add_argument("--team", action="append", default=[], dest="teams", metavar="TEAM", help="repeatable")
    _add_password(adding)
    adding.add_argument(
        "--no-password", action="store_true", help="nobody can sign in to it until it is linked or gets a password"
    )
    adding.set_defaults(run=_add)
    listing = commands.add_parser("list", help="all accounts")
    add_json(listing)
    listing.set_defaults(run=_list)
    showing = _named(commands, "show", "one account", _show)
    add_json(showing)
    changing = _named(commands, "set", "change what is given; `none` takes an address away", _set)
    changing.add_argument("--role", choices=_ROLES, help="ends the account's sessions")
    changing.add_argument("--email", metavar="ADDRESS")
    _add_password(_named(commands, "passwd", "another password; ends the account's sessions", _passwd))
    _named(commands, "disable", "let nobody in by it; ends its sessions and tokens", _disable)
    _named(commands, "enable", "let it in again", _enable)
    _named(commands, "sign-out", "end all its sessions", _sign_out)
    linking = _named(commands, "link", "let it sign in at the identity provider instead of by a password", _link)
    linking.add_argument("--subject", required=True, help="who it is there; the page that refused the sign-in says it")
    linking.add_argument("--issuer", metavar="URL", help="the provider (default: the setting)")


def _add_team_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    adding = commands.add_parser("add", help="a new team")
    adding.add_argument("team", metavar="TEAM")
    adding.set_defaults(run=_add_team)
    listing = commands.add_parser("list", help="all teams with their members")
    add_json(listing)
    listing.set_defaults(run=_list_teams)
    removing = commands.add_parser("remove", help="a team with its memberships; incidents go on naming it")
    removing.add_argument("team", metavar="TEAM")
    removing.set_defaults(run=_remove_team)
    for name, help_text, change in (("join", "make somebody a member", join_team), ("leave", "no more", leave_team)):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("team", metavar="TEAM")
        command.add_argument("names", metavar="USER", nargs="+")
        command.set_defaults(run=_membership(change))


def _named(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    help_text: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help_text)
    command.add_argument("name", metavar="USER")
    command.set_defaults(run=run)
    return command


def _add_password(parser: argparse.ArgumentParser) -> None:
    # Never an argument: every account of the machine may read the command line of a process.
    parser.add_argument(
        "--password-file", metavar="FILE", help="its first line (default: asked for, or a line of standard input)"
    )


def read_password(path: str | None) -> str:
    """The password: from a file, from the terminal without showing it, or the first line of standard input.

    Raises `Invalid`.
    """
    if path is not None:
        try:
            return Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError):
            raise Invalid(fields=[FieldError("password-file", "cannot be read as text")]) from None
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise Invalid(fields=[FieldError("password", "was typed differently the second time")])
    return password


def _add(arguments: argparse.Namespace) -> int:
    new = read(NewAccount, {name: getattr(arguments, name) for name in ("name", "role", "email", "teams")})
    password = None if arguments.no_password else read_password(arguments.password_file)
    with local_context() as context:
        actions.create_account(context, new, password)
    print(f"{new.name} is {new.role}.")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with command_session() as session:
        found = people(session)
    if arguments.json:
        print_json([person_as_json(one) for one in found])
    elif found:
        print_table(_PEOPLE, [_row(one) for one in found])
    else:
        print("No accounts. Add the first administrator: ims user add NAME --role admin")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with command_session() as session:
        shown = person_as_json(person(session, arguments.name))
    (print_json if arguments.json else print_fields)(shown)
    return 0


def person_as_json(one: Person) -> dict[str, Any]:
    """An account as people and programs see it."""
    return {
        "user": one.name,
        "role": one.role.value,
        "state": "enabled" if one.disabled_at is None else "disabled",
        "signs_in_by": one.signs_in_by,
        "teams": list(one.teams),
        "email": one.email,
        "oidc_issuer": one.oidc_issuer,
        "oidc_subject": one.oidc_subject,
        "created_at": iso(one.created_at),
        "disabled_at": iso(one.disabled_at),
    }


def _row(one: Person) -> tuple[str, ...]:
    state = "enabled" if one.disabled_at is None else f"disabled {local(one.disabled_at)}"
    return (one.name, one.role.value, state, one.signs_in_by, ", ".join(one.teams), one.email or "")


def _set(arguments: argparse.Namespace) -> int:
    changes = {name: value for name in ("role", "email") if (value := getattr(arguments, name)) is not None}
    if changes.get("email", "").lower() == "none":
        changes["email"] = ""
    return _change(lambda context: actions.change_account(context, arguments.name, changes))


def _passwd(arguments: argparse.Namespace) -> int:
    password = read_password(arguments.password_file)
    with local_context() as context:
        actions.set_password(context, arguments.name, password)
    print("changed")
    return 0


def _disable(arguments: argparse.Namespace) -> int:
    return _change(lambda context: actions.disable_account(context, arguments.name))


def _enable(arguments: argparse.Namespace) -> int:
    return _change(lambda context: actions.enable_account(context, arguments.name))


def _sign_out(arguments: argparse.Namespace) -> int:
    with local_context() as context:
        actions.end_sessions(context, arguments.name)
    print(f"{arguments.name} is signed out everywhere.")
    return 0


def _link(arguments: argparse.Namespace) -> int:
    issuer = arguments.issuer or load_settings().oidc_issuer
    if not issuer:
        raise Invalid(fields=[FieldError("issuer", "is missing: give --issuer, or set IMS_OIDC_ISSUER")])
    return _change(lambda context: actions.link_identity(context, arguments.name, issuer, arguments.subject))


def _add_team(arguments: argparse.Namespace) -> int:
    new = read(NewTeam, {"name": arguments.team})
    return _change(lambda context: create_team(context, new))


def _remove_team(arguments: argparse.Namespace) -> int:
    def remove(context: Context) -> bool:
        try:
            remove_team(context, arguments.team)
        except NoSuchTeam:
            return False
        return True

    return _change(remove)


def _membership(change: Callable[..., bool]) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        def change_all(context: Context) -> bool:
            # Each of them, also after the first that changed something.
            changed = [change(context, arguments.team, name) for name in arguments.names]
            return any(changed)

        return _change(change_all)

    return run


def _change(change: Callable[[Context], bool]) -> int:
    with local_context() as context:
        is_changed = change(context)
    print("changed" if is_changed else "unchanged")
    return 0


def _list_teams(arguments: argparse.Namespace) -> int:
    with command_session() as session:
        teams = all_teams(session)
    if arguments.json:
        print_json(
            [{"team": one.name, "members": list(one.members), "created_at": iso(one.created_at)} for one in teams]
        )
    elif teams:
        print_table(_TEAMS, [(one.name, ", ".join(one.members)) for one in teams])
    else:
        print("No teams.")
    return 0


def team_as_json(team: TeamOfPeople) -> dict[str, Any]:
    """A team as people and programs see it."""
    return {"team": team.name, "members": list(team.members), "created_at": iso(team.created_at)}
