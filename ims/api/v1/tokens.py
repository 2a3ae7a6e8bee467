"""Everybody's tokens in the REST API: for administrators."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.accounts.people.queries import people, person
from ims.accounts.tokens.queries import tokens_of
from ims.accounts.tokens.usecases import NewToken, create_user_token, revoke_token, rotate_token, token_id
from ims.api.fields import Cursor, Limit
from ims.api.operations import Group
from ims.api.v1.schemas.tokens import AnyToken, Rotation, TokenList, TokenMade, show_made, show_token
from ims.core.errors import Conflict, FieldError, NotFound, Unprocessable
from ims.core.paging import cut, number_in
from ims.core.principal import Role, Scope
from ims.core.schemas import Given
from ims.http.authentication import origin
from ims.http.resources import clock, transaction
from ims.incidents.inputs import Name
from ims.sources.tokens import create_source_token

api: Final = Group("Tokens", "Credentials of sources and of accounts, for administrators. Only their hashes are kept.")

TokenName = Annotated[str, Field(pattern=r"^(?:T-)?[1-9][0-9]{0,17}$", description="T-5 or 5.", examples=["T-5"])]


class TokenQuery(Given):
    """Which tokens."""

    source: Annotated[Name, Field(description="Only of this source.")] = ""
    user: Annotated[Name, Field(description="Only of this account.")] = ""
    limit: Limit = 50
    cursor: Cursor = None


@api.post(
    "/tokens",
    answers=TokenMade,
    status=201,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"source": "alertmanager", "label": "second replica"},
)
def create_token(body: AnyToken) -> TokenMade:
    """Make a token.

    Of a source or of an account: name one of them. Its text is told now and never again.
    """
    if (body.source is None) == (body.user is None):
        raise Unprocessable(fields=[FieldError("source", "give either `source` or `user`")])
    if body.source is not None and body.scope is not None:
        raise Unprocessable(fields=[FieldError("scope", "is for the tokens of a user: a source's may send alerts")])
    with transaction() as session:
        return show_made(_create(session, body))


def _create(session: Session, body: AnyToken) -> NewToken:
    """Names in a body that nobody has are no address that nothing is at."""
    by, now = origin(), clock()
    try:
        if body.source is not None:
            return create_source_token(session, body.source, body.label, by, now, lifetime=body.lifetime)
        scope = body.scope or Scope.READ
        return create_user_token(session, body.user or "", scope, body.label, by, now, lifetime=body.lifetime)
    except NotFound as error:
        field = "source" if body.source is not None else "user"
        raise Unprocessable(fields=[FieldError(field, "is not there: choose one that is")]) from error


@api.get("/tokens", answers=TokenList, least=Role.ADMIN, raises=(Unprocessable,), example_query="source=alertmanager")
def list_tokens(query: TokenQuery) -> TokenList:
    """List tokens.

    The newest first, a page at a time; those that have ended are among them.
    """
    now, bound_to = clock(), [query.source, query.user]
    before = number_in(query.cursor, bound_to)
    with transaction() as session:
        names = {one.id: one.name for one in people(session)}
        found = _found(session, query)
    left = [token for token in reversed(found) if before is None or token.id < before]
    rows, following = cut(left, query.limit, lambda token: token.id, bound_to)
    shown = [show_token(token, names.get(token.user_id) if token.user_id else None, now) for token in rows]
    return TokenList(items=shown, next=following)


def _found(session: Session, query: TokenQuery) -> list[ApiToken]:
    """In the order they were made; none of an account that is not there."""
    try:
        user_id = person(session, query.user).id if query.user else None
    except NotFound:
        return []
    return list(tokens_of(session, source=query.source or None, user_id=user_id))


@api.post(
    "/tokens/{token}/rotate",
    answers=TokenMade,
    status=201,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"overlap": 86400},
)
def rotate(token: TokenName, body: Rotation) -> TokenMade:
    """Replace a token.

    Makes its successor, told now and never again; the old one goes on working for `overlap` seconds, so that senders
    can be changed one after the other.
    """
    with transaction() as session:
        overlap = timedelta(seconds=body.overlap)
        return show_made(rotate_token(session, token_id(token), overlap, origin(), clock()))


@api.delete("/tokens/{token}", status=204, least=Role.ADMIN)
def revoke(token: TokenName) -> None:
    """End a token.

    At once; a source's may work for five seconds more. One that has ended stays so.
    """
    with transaction() as session:
        revoke_token(session, token_id(token), origin(), clock())
