"""REST API: users, for administrators."""

from typing import Final
from urllib.parse import quote

from ims.accounts.people import usecases as actions
from ims.accounts.people.inputs import NewAccount
from ims.accounts.people.queries import people, person
from ims.api.listing import PageQuery
from ims.api.operations import Answer, Group
from ims.api.v1.schemas.people import NewPassword, NewUser, UserChanges, UserList, UserName, UserResponse, show_user
from ims.core.errors import Conflict, Unprocessable
from ims.core.principal import Role
from ims.core.validation import read
from ims.http.authentication import use_case
from ims.http.resources import transaction

api: Final = Group("Users", "Accounts, their roles and teams, for administrators.")


@api.post(
    "/users",
    answers=UserResponse,
    status=201,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"name": "deploy-bot", "role": "responder"},
)
def create_user(body: NewUser) -> Answer:
    """Add an account.

    For a person, or for a program that uses a token.
    """
    with use_case() as context:
        actions.create_account(context, read(NewAccount, body.model_dump(exclude={"password"})), body.password)
        shown = show_user(person(context.session, body.name))
    return Answer(shown, headers={"Location": f"/api/v1/users/{quote(body.name, safe='')}"})


@api.get("/users", answers=UserList, least=Role.ADMIN, raises=(Unprocessable,))
def list_users(query: PageQuery) -> UserList:
    """List accounts.

    By name, paginated. Disabled accounts are included.
    """
    with transaction() as session:
        found = people(session, after=query.after, limit=query.limit + 1)
    return query.page(UserList, found, lambda one: one.name, show_user)


@api.get("/users/{name}", answers=UserResponse, least=Role.ADMIN)
def one_user(name: UserName) -> UserResponse:
    """Get an account.

    Includes its role and teams.
    """
    with transaction() as session:
        return show_user(person(session, name))


@api.patch(
    "/users/{name}",
    answers=UserResponse,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"role": "viewer", "email": "deploy@example.org"},
)
def change_user(name: UserName, body: UserChanges) -> UserResponse:
    """Change an account.

    Changes role, e-mail address, teams and whether it is enabled, in one transaction. The last administrator keeps the
    role.
    """
    with use_case() as context:
        actions.change_account(context, name, body.named)
        return show_user(person(context.session, name))


@api.post(
    "/users/{name}/password",
    status=204,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"password": "correct horse battery staple"},
)
def set_password(name: UserName, body: NewPassword) -> None:
    """Set the password of an account.

    Ends its sessions. Fails with 409 for an account that signs in with the identity provider.
    """
    with use_case() as context:
        actions.set_password(context, name, body.password)


@api.post("/users/{name}/sign-out", status=204, least=Role.ADMIN)
def sign_out(name: UserName) -> None:
    """Sign an account out everywhere.

    Ends all its sessions; its tokens stay valid.
    """
    with use_case() as context:
        actions.end_sessions(context, name)
