"""Everybody's tokens in the REST API: for administrators."""

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
from ims.api.v1.schemas.tokens import AnyToken, Rotation, TokenList, TokenMade, show_made, show_token
from ims.core.context import Context
from ims.core.errors import Conflict, FieldError, NotFound, Unprocessable
from ims.core.principal import Role, Scope
from ims.http.authentication import use_case
from ims.http.resources import clock, transaction
from ims.incidents.inputs import Name
from ims.sources.usecases import create_source_token

api: Final = Group("Tokens", "Credentials of sources and of accounts, for administrators. Only their hashes are kept.")

TokenName = Annotated[str, Field(pattern=r"^(?:T-)?[1-9][0-9]{0,17}$", description="T-5 or 5.", examples=["T-5"])]


class TokenQuery(PageQuery):
    """Which tokens."""

    source: Annotated[Name, Field(description="Only of this source.")] = ""
    user: Annotated[Name, Field(description="Only of this account.")] = ""


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
    with use_case() as context:
        return show_made(_create(context, body))


def _create(context: Context, body: AnyToken) -> NewToken:
    """Names in a body that nobody has are no address that nothing is at."""
    try:
        if body.source is not None:
            return create_source_token(context, body.source, body.label, lifetime=body.lifetime)
        scope = body.scope or Scope.READ
        return create_user_token(context, body.user or "", scope, body.label, lifetime=body.lifetime)
    except NotFound as error:
        field = "source" if body.source is not None else "user"
        raise Unprocessable(fields=[FieldError(field, "is not there: choose one that is")]) from error


@api.get("/tokens", answers=TokenList, least=Role.ADMIN, raises=(Unprocessable,), example_query="source=alertmanager")
def list_tokens(query: TokenQuery) -> TokenList:
    """List tokens.

    The newest first, a page at a time; those that have ended are among them.
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
    """None of an account that is not there."""
    try:
        user_id = person(session, query.user).id if query.user else None
    except NotFound:
        return []
    return newest_tokens(session, query.limit + 1, query.before, source=query.source or None, user_id=user_id)


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
    with use_case() as context:
        return show_made(rotate_token(context, token, body.time))


@api.delete("/tokens/{token}", status=204, least=Role.ADMIN)
def revoke(token: TokenName) -> None:
    """End a token.

    At once; a source's may work for five seconds more. One that has ended stays so.
    """
    with use_case() as context:
        revoke_token(context, token)
