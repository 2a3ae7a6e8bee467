"""One's own account in the REST API."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

from ims.accounts.tokens.queries import tokens_of
from ims.accounts.tokens.usecases import create_user_token, locked_token, revoke_token, rotate_token, token_id
from ims.api.fields import Cursor, Limit
from ims.api.operations import Group
from ims.api.v1.schemas.tokens import OwnToken, Rotation, TokenList, TokenMade, show_made, show_token
from ims.core.context import ScopeTooNarrow
from ims.core.errors import Conflict, Unprocessable
from ims.core.paging import cut, number_in
from ims.core.principal import Role, Scope
from ims.core.schemas import Given, Shown
from ims.http.authentication import origin, signed_in
from ims.http.resources import clock, transaction

api: Final = Group("My account", "Who you are here and what you may do; your own tokens.")

OwnTokenName = Annotated[
    str, Field(pattern=r"^(?:T-)?[1-9][0-9]{0,17}$", description="T-3 or 3; only one of your own.", examples=["T-3"])
]


class Me(Shown):
    """Whoever asks."""

    name: str
    role: Role
    teams: Annotated[list[str], Field(description="Responders act on incidents of these, their own, and nobody's.")]
    token: Annotated[str | None, Field(description="The token that asks; null in a session.", examples=["T-3"])]
    scope: Annotated[Scope, Field(description="What that may do, within the role.")]


class OwnTokenQuery(Given):
    """Which part of the list."""

    limit: Limit = 50
    cursor: Cursor = None


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
    principal = signed_in()
    _require_scope(body.scope)
    with transaction() as session:
        new = create_user_token(
            session, principal.name, body.scope, body.label, origin(), clock(), lifetime=body.lifetime
        )
    return show_made(new)


@api.get("/me/tokens", answers=TokenList, raises=(Unprocessable,))
def list_own_tokens(query: OwnTokenQuery) -> TokenList:
    """List your own tokens.

    The newest first, a page at a time; those that have ended are among them.
    """
    principal, now = signed_in(), clock()
    before = number_in(query.cursor, [principal.name])
    with transaction() as session:
        own = tokens_of(session, user_id=principal.account)
    left = [token for token in reversed(own) if before is None or token.id < before]
    rows, following = cut(left, query.limit, lambda token: token.id, [principal.name])
    return TokenList(items=[show_token(token, principal.name, now) for token in rows], next=following)


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
    with transaction() as session:
        old = locked_token(session, token_id(token), signed_in().account)
        # Else a token could get itself a wider one.
        for scope in old.scopes:
            _require_scope(Scope(scope))
        return show_made(rotate_token(session, old.id, timedelta(seconds=body.overlap), origin(), clock()))


@api.delete("/me/tokens/{token}", status=204, least=Role.VIEWER)
def revoke_own_token(token: OwnTokenName) -> None:
    """End a token of your own.

    At once; one that has ended stays so.
    """
    with transaction() as session:
        own = locked_token(session, token_id(token), signed_in().account)
        revoke_token(session, own.id, origin(), clock())


def _require_scope(scope: Scope) -> None:
    if not signed_in().has_scope(scope):
        raise ScopeTooNarrow
