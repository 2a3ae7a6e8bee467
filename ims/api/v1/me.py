"""REST API: the caller's own account."""

from typing import Annotated, Final

from pydantic import Field

from ims.accounts.tokens import usecases
from ims.accounts.tokens.queries import newest_tokens
from ims.api.listing import PageQuery
from ims.api.operations import Group
from ims.api.v1.schemas.tokens import OwnToken, Rotation, TokenCreated, TokenList, show_created, show_token
from ims.core.context import ScopeTooNarrow
from ims.core.errors import Conflict, Unprocessable
from ims.core.principal import Role, Scope
from ims.core.schemas import ResponseModel
from ims.http.authentication import signed_in, use_case
from ims.http.resources import clock, transaction

api: Final = Group("My account", "Your own account, its rights and its tokens.")

OwnTokenName = Annotated[
    str, Field(pattern=r"^(?:T-)?[1-9][0-9]{0,17}$", description="T-3 or 3; one of your own tokens.", examples=["T-3"])
]


class Me(ResponseModel):
    """The account of the caller."""

    name: str
    role: Role
    teams: Annotated[
        list[str],
        Field(
            description="Responders can act on incidents of these teams, on incidents assigned to them, and on "
            "incidents without a team."
        ),
    ]
    token: Annotated[str | None, Field(description="The token in use; null in a browser session.", examples=["T-3"])]
    scope: Annotated[Scope, Field(description="Rights of the token or session, within those of the role.")]


@api.get("/me", answers=Me)
def me() -> Me:
    """Get your own account.

    The account that the token or session belongs to.
    """
    principal = signed_in()
    return Me(
        name=principal.name,
        role=principal.role,
        teams=sorted(principal.teams),
        token=principal.token,
        scope=principal.scope,
    )


@api.post(
    "/me/tokens",
    answers=TokenCreated,
    status=201,
    least=Role.VIEWER,
    raises=(ScopeTooNarrow, Unprocessable),
    example={"scope": "read", "label": "dashboard", "seconds": 7776000},
)
def create_own_token(body: OwnToken) -> TokenCreated:
    """Create a token for your own account.

    It has the rights of its scope, and never more than your role. Its text is returned only once.
    """
    with use_case() as context:
        return show_created(usecases.create_own_token(context, body.scope, body.label, lifetime=body.lifetime))


@api.get("/me/tokens", answers=TokenList, raises=(Unprocessable,))
def list_own_tokens(query: PageQuery) -> TokenList:
    """List your own tokens.

    Newest first, paginated. Ended tokens are included.
    """
    principal, now = signed_in(), clock()
    with transaction() as session:
        own = newest_tokens(session, query.limit + 1, query.before, user_id=principal.account)
    return query.page(TokenList, own, lambda token: token.id, lambda token: show_token(token, principal.name, now))


@api.post(
    "/me/tokens/{token}/rotate",
    answers=TokenCreated,
    status=201,
    least=Role.VIEWER,
    raises=(ScopeTooNarrow, Conflict, Unprocessable),
    example={"overlap": 3600},
)
def rotate_own_token(token: OwnTokenName, body: Rotation) -> TokenCreated:
    """Rotate a token of your own.

    Returns a new token, only once. The old token stays valid for `overlap` seconds.
    """
    with use_case() as context:
        return show_created(usecases.rotate_own_token(context, token, body.time))


@api.delete("/me/tokens/{token}", status=204, least=Role.VIEWER)
def revoke_own_token(token: OwnTokenName) -> None:
    """Revoke a token of your own.

    Takes effect at once and cannot be undone.
    """
    with use_case() as context:
        usecases.revoke_own_token(context, token)
