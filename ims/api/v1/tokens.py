"""REST API: tokens of all sources and accounts, for administrators."""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.accounts.people.queries import people, person
from ims.accounts.tokens.queries import newest_tokens
from ims.accounts.tokens.usecases import NewToken, create_user_token, revoke_token, rotate_token
from ims.api.listing import PageQuery
from ims.api.operations import Group
from ims.api.v1.schemas.tokens import AnyToken, Rotation, TokenCreated, TokenList, show_created, show_token
from ims.core.context import Context
from ims.core.errors import Conflict, FieldError, NotFound, Unprocessable
from ims.core.principal import Role, Scope
from ims.http.authentication import use_case
from ims.http.resources import clock, transaction
from ims.incidents.inputs import Name
from ims.sources.usecases import create_source_token

api: Final = Group("Tokens", "Tokens of sources and accounts, for administrators. IMS stores only their hashes.")

TokenName = Annotated[str, Field(pattern=r"^(?:T-)?[1-9][0-9]{0,17}$", description="T-5 or 5.", examples=["T-5"])]


class TokenQuery(PageQuery):
    """Filters of the list of tokens."""

    source: Annotated[Name, Field(description="Only of this source.")] = ""
    user: Annotated[Name, Field(description="Only of this account.")] = ""


@api.post(
    "/tokens",
    answers=TokenCreated,
    status=201,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"source": "alertmanager", "label": "second replica"},
)
def create_token(body: AnyToken) -> TokenCreated:
    """Create a token.

    For either a source or an account. Its text is returned only once.
    """
    if (body.source is None) == (body.user is None):
        raise Unprocessable(fields=[FieldError("source", "give either `source` or `user`")])
    if body.source is not None and body.scope is not None:
        raise Unprocessable(fields=[FieldError("scope", "applies only to tokens of a user: sources only send alerts")])
    with use_case() as context:
        return show_created(_create(context, body))


def _create(context: Context, body: AnyToken) -> NewToken:
    """An unknown name in the body is 422, not 404, which would refer to the URL."""
    try:
        if body.source is not None:
            return create_source_token(context, body.source, body.label, lifetime=body.lifetime)
        scope = body.scope or Scope.READ
        return create_user_token(context, body.user or "", scope, body.label, lifetime=body.lifetime)
    except NotFound as error:
        field = "source" if body.source is not None else "user"
        raise Unprocessable(fields=[FieldError(field, "does not exist")]) from error


@api.get("/tokens", answers=TokenList, least=Role.ADMIN, raises=(Unprocessable,), example_query="source=alertmanager")
def list_tokens(query: TokenQuery) -> TokenList:
    """List tokens.

    Newest first, paginated. Ended tokens are included.
    """
    now = clock()
    with transaction() as session:
        names = {one.id: one.name for one in people(session)}
        found = _found(session, query)
    return query.page(
        TokenList,
        found,
        lambda token: token.id,
        lambda token: show_token(token, names.get(token.user_id) if token.user_id else None, now),
    )


def _found(session: Session, query: TokenQuery) -> Sequence[ApiToken]:
    """The tokens; none for an unknown account."""
    try:
        user_id = person(session, query.user).id if query.user else None
    except NotFound:
        return []
    return newest_tokens(session, query.limit + 1, query.before, source=query.source or None, user_id=user_id)


@api.post(
    "/tokens/{token}/rotate",
    answers=TokenCreated,
    status=201,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"overlap": 86400},
)
def rotate(token: TokenName, body: Rotation) -> TokenCreated:
    """Rotate a token.

    Returns a new token, only once. The old token stays valid for `overlap` seconds, so that senders can be updated one
    after the other.
    """
    with use_case() as context:
        return show_created(rotate_token(context, token, body.time))


@api.delete("/tokens/{token}", status=204, least=Role.ADMIN)
def revoke(token: TokenName) -> None:
    """Revoke a token.

    Takes effect at once, for tokens of sources within five seconds. It cannot be undone.
    """
    with use_case() as context:
        revoke_token(context, token)
