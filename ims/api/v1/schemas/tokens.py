"""Tokens as programs ask for them and see them: never the text of one that is there, which nobody has."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from ims.accounts.models import ApiToken
from ims.accounts.token_names import token_name
from ims.accounts.tokens.queries import TokenState, token_state
from ims.accounts.tokens.usecases import LABEL_LENGTH, LIFETIME_MOST, NewToken
from ims.api.fields import WHOLE_NUMBER
from ims.core.principal import Scope
from ims.core.schemas import Listing, RequestModel, ResponseModel
from ims.core.validation import LINE_SCHEMA, one_line

_MOST_SECONDS: Final = int(LIFETIME_MOST.total_seconds())

_Label = Annotated[
    str,
    Field(max_length=LABEL_LENGTH, json_schema_extra=LINE_SCHEMA, description="Where it is used, in your words."),
    AfterValidator(one_line),
]
_Lifetime = Annotated[
    Annotated[int, Field(ge=1, le=_MOST_SECONDS), WHOLE_NUMBER] | None,
    Field(description="How long it works; without it, until it is revoked."),
]


class _NewToken(RequestModel):
    """What is said of every token."""

    label: _Label = ""
    seconds: _Lifetime = None

    @property
    def lifetime(self) -> timedelta | None:
        """How long it works."""
        return None if self.seconds is None else timedelta(seconds=self.seconds)


class OwnToken(_NewToken):
    """A token that acts for whoever asks."""

    scope: Annotated[Scope, Field(description="What it may do; never more than the role, or the token that asks.")] = (
        Scope.READ
    )


class AnyToken(_NewToken):
    """A token of a source, which sends alerts by it, or of an account, for which it acts."""

    source: Annotated[str | None, Field(pattern=r"^[a-z0-9._-]{1,64}$", description="Who sends by it.")] = None
    user: Annotated[str | None, Field(pattern=r"^[a-z0-9._-]{1,64}$", description="Whom it acts for.")] = None
    scope: Annotated[
        Scope | None, Field(description="What it may do for an account, read without it; a source's sends alerts.")
    ] = None


class Rotation(RequestModel):
    """How to hand over."""

    overlap: Annotated[
        int,
        Field(ge=0, le=_MOST_SECONDS, description="Seconds that the old one goes on working."),
        WHOLE_NUMBER,
    ] = 3600

    @property
    def time(self) -> timedelta:
        """How long the old one goes on working."""
        return timedelta(seconds=self.overlap)


class TokenResponse(ResponseModel):
    """A token, without its text."""

    token: Annotated[str, Field(description="People's name for it.", examples=["T-3"])]
    source: Annotated[str | None, Field(description="Who sends alerts by it.")]
    user: Annotated[str | None, Field(description="Whom it acts for.")]
    label: str
    state: Annotated[TokenState, Field(description="`ending`: it works until `expires_at`.")]
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: Annotated[datetime | None, Field(description="To the minute.")]


class TokenList(Listing[TokenResponse]):
    """A page of the list of tokens."""


class TokenMade(ResponseModel):
    """A token that was just made."""

    token: Annotated[str, Field(description="People's name for it.", examples=["T-3"])]
    secret: Annotated[str, Field(description="The token itself: told now and never again. Keep it as a secret.")]


def show_token(token: ApiToken, user: str | None, now: datetime) -> TokenResponse:
    """A token as programs see it; `user` is the name of its account."""
    same = ("source", "label", "scopes", "created_at", "expires_at", "last_used_at")
    return TokenResponse(
        token=token_name(token.id),
        user=user,
        state=token_state(token, now),
        **{name: getattr(token, name) for name in same},
    )


def show_made(new: NewToken) -> TokenMade:
    """A token with its text, for whoever asked for it."""
    return TokenMade(token=new.name, secret=new.text)
