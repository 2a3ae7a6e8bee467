"""One's own account in the REST API."""

from typing import Annotated, Final

from pydantic import Field

from ims.accounts.tokens import usecases
from ims.accounts.tokens.queries import newest_tokens
from ims.api.listing import PageQuery
from ims.api.operations import Group
from ims.api.v1.schemas.tokens import OwnToken, Rotation, TokenList, TokenMade, show_made, show_token
from ims.core.context import ScopeTooNarrow
from ims.core.errors import Conflict, Unprocessable
from ims.core.principal import Role, Scope
from ims.core.schemas import ResponseModel
from ims.http.authentication import signed_in, use_case
from ims.http.resources import clock, transaction

api: Final = Group("My account", "Who you are here and what you may do; your own tokens.")

OwnTokenName = Annotated[
    str, Field(pattern=r"^(?:T-)?[1-9][0-9]{0,17}$", description="T-3 or 3; only one of your own.", examples=["T-3"])
]


class Me(ResponseModel):
    """Whoever asks."""

    name: str
    role: Role
    teams: Annotated[list[str], Field(description="Responders act on incidents of these, their own, and nobody's.")]
    token: Annotated[str | None, Field(description="The token that asks; null in a session.", examples=["T-3"])]
    scope: Annotated[Scope, Field(description="What that may do, within the role.")]


@api.get("/me", answers=Me)
def me() -> Me:
    """Read who you are.

    The account that the token or the session belongs to.
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
    answers=TokenMade,
    status=201,
    least=Role.VIEWER,
    raises=(ScopeTooNarrow, Unprocessable),
    example={"scope": "read", "label": "dashboard", "seconds": 7776000},
)
def create_own_token(body: OwnToken) -> TokenMade:
    """Make a token of your own.

    It acts for you, within its scope and never beyond your role. Its text is told now and never again.
    """
    with use_case() as context:
        return show_made(usecases.create_own_token(context, body.scope, body.label, lifetime=body.lifetime))


@api.get("/me/tokens", answers=TokenList, raises=(Unprocessable,))
def list_own_tokens(query: PageQuery) -> TokenList:
    """List your own tokens.

    The newest first, a page at a time; those that have ended are among them.
    """
    principal, now = signed_in(), clock()
    with transaction() as session:
        own = newest_tokens(session, query.limit + 1, query.before, user_id=principal.account)
    return query.page(TokenList, own, lambda token: token.id, lambda token: show_token(token, principal.name, now))


@api.post(
    "/me/tokens/{token}/rotate",
    answers=TokenMade,
    status=201,
    least=Role.VIEWER,
    raises=(ScopeTooNarrow, Conflict, Unprocessable),
    example={"overlap": 3600},
)
def rotate_own_token(token: OwnTokenName, body: Rotation) -> TokenMade:
    """Replace a token of your own.

    Makes its successor, told now and never again; the old one goes on working for `overlap` seconds.
    """
    with use_case() as context:
        return show_made(usecases.rotate_own_token(context, token, body.time))


@api.delete("/me/tokens/{token}", status=204, least=Role.VIEWER)
def revoke_own_token(token: OwnTokenName) -> None:
    """End a token of your own.

    At once; one that has ended stays so.
    """
    with use_case() as context:
        usecases.revoke_own_token(context, token)
