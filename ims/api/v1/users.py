"""The users of the REST API: for administrators."""

from typing import Any, Final

from ims.accounts.people import usecases as actions
from ims.accounts.people.inputs import NewAccount
from ims.accounts.people.queries import people, person
from ims.accounts.people.teams import set_teams
from ims.api.fields import Cursor, Limit
from ims.api.operations import Answer, Group
from ims.api.v1.schemas.people import NewPassword, NewUser, UserChanges, UserList, UserName, UserShown, show_user
from ims.core.errors import Conflict, Unprocessable
from ims.core.paging import cut, name_in
from ims.core.principal import Role
from ims.core.schemas import Given
from ims.core.validation import read
from ims.http.authentication import origin
from ims.http.resources import clock, transaction

api: Final = Group("Users", "Who may sign in and what they may do, for administrators.")


class UserQuery(Given):
    """Which part of the list."""

    limit: Limit = 50
    cursor: Cursor = None


@api.post(
    "/users",
    answers=UserShown,
    status=201,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"name": "deploy-bot", "role": "responder"},
)
def create_user(body: NewUser) -> Answer:
    """Add an account.

    For a person, or for a program that asks by a token.
    """
    with transaction() as session:
        new = read(NewAccount, body.model_dump(exclude={"password"}))
        actions.create_account(session, new, body.password, origin(), clock())
        shown = show_user(person(session, body.name))
    return Answer(shown, headers={"Location": f"/api/v1/users/{body.name}"})


@api.get("/users", answers=UserList, least=Role.ADMIN, raises=(Unprocessable,))
def list_users(query: UserQuery) -> UserList:
    """List accounts.

    By name, a page at a time; disabled ones are among them.
    """
    with transaction() as session:
        found = people(session, after=name_in(query.cursor, []) or "", limit=query.limit + 1)
    rows, following = cut(found, query.limit, lambda one: one.name, [])
    return UserList(items=[show_user(one) for one in rows], next=following)


@api.get("/users/{name}", answers=UserShown, least=Role.ADMIN)
def one_user(name: UserName) -> UserShown:
    """Read an account.

    With its role and its teams.
    """
    with transaction() as session:
        return show_user(person(session, name))


@api.patch(
    "/users/{name}",
    answers=UserShown,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"role": "viewer", "email": "deploy@example.org"},
)
def change_user(name: UserName, body: UserChanges) -> UserShown:
    """Change an account.

    Role, address, teams, and whether it may be used at all; everything or nothing. The last administrator stays one.
    """
    now, by = clock(), origin()
    changes = body.named
    with transaction() as session:
        described: dict[str, Any] = {field: changes[field] for field in ("role", "email") if field in changes}
        if described:
            actions.change_account(session, name, described, by, now)
        if "teams" in changes:
            set_teams(session, actions.locked_account(session, name), changes["teams"], by, now)
        if "enabled" in changes:
            change = actions.enable_account if changes["enabled"] else actions.disable_account
            change(session, name, by, now)
        return show_user(person(session, name))


@api.post(
    "/users/{name}/password",
    status=204,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"password": "correct horse battery staple"},
)
def set_password(name: UserName, body: NewPassword) -> None:
    """Give an account another password.

    Its sessions end. Whoever signs in at the identity provider has none here.
    """
    with transaction() as session:
        actions.set_password(session, name, body.password, origin(), clock())


@api.post("/users/{name}/sign-out", status=204, least=Role.ADMIN)
def sign_out(name: UserName) -> None:
    """Sign an account out everywhere.

    All its sessions end; its tokens go on working.
    """
    with transaction() as session:
        actions.end_sessions(session, name, origin(), clock())
