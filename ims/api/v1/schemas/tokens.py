"""Tokens. IMS stores only hashes, so a response contains the text of a token only when it is created."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from ims.accounts.models import ApiToken
from ims.accounts.people.inputs import NAME_LENGTH, NAME_PATTERN
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
    Field(max_length=LABEL_LENGTH, json_schema_extra=LINE_SCHEMA, description="Free text, such as where it is used."),
    AfterValidator(one_line),
]
_Lifetime = Annotated[
    Annotated[int, Field(ge=1, le=_MOST_SECONDS), WHOLE_NUMBER] | None,
    Field(description="Lifetime in seconds; default: it does not expire."),
]


class _NewToken(RequestModel):
    """Fields of every new token."""

    label: _Label = ""
    seconds: _Lifetime = None

    @property
    def lifetime(self) -> timedelta | None:
        return None if self.seconds is None else timedelta(seconds=self.seconds)


class OwnToken(_NewToken):
    """A new token for the caller's own account."""

    scope: Annotated[Scope, Field(description="Its rights; at most those of the role and of the calling token.")] = (
        Scope.READ
    )


class AnyToken(_NewToken):
    """A new token, either of a source, to send alerts, or of an account, to act for it."""

    source: Annotated[
        str | None, Field(pattern=r"^[a-z0-9._-]{1,64}$", description="The source that sends with it.")
    ] = None
    user: Annotated[
        str | None, Field(pattern=f"^{NAME_PATTERN}$", max_length=NAME_LENGTH, description="The account it acts for.")
    ] = None
    scope: Annotated[
        Scope | None, Field(description="Rights of a token of an account (default: read); not for sources.")
    ] = None


class Rotation(RequestModel):
    """Options of a rotation."""

    overlap: Annotated[
        int,
        Field(ge=0, le=_MOST_SECONDS, description="Seconds that the old token stays valid."),
        WHOLE_NUMBER,
    ] = 3600

    @property
    def time(self) -> timedelta:
        return timedelta(seconds=self.overlap)


class TokenResponse(ResponseModel):
    """A token, without its text."""

    token: Annotated[str, Field(description="Short name.", examples=["T-3"])]
    source: Annotated[str | None, Field(description="The source that sends with it.")]
    user: Annotated[str | None, Field(description="The account it acts for.")]
    label: str
    state: Annotated[TokenState, Field(description="`ending`: it is valid until `expires_at`.")]
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: Annotated[datetime | None, Field(description="With a resolution of one minute.")]


class TokenList(Listing[TokenResponse]):
    """A page of the list of tokens."""


class TokenCreated(ResponseModel):
    """A new token with its text."""

    token: Annotated[str, Field(description="Short name.", examples=["T-3"])]
    secret: Annotated[str, Field(description="The token itself. It is returned only once; store it as a secret.")]


def show_token(token: ApiToken, user: str | None, now: datetime) -> TokenResponse:
    """`user` is the name of its account."""
    same = ("source", "label", "scopes", "created_at", "expires_at", "last_used_at")
    return TokenResponse(
        token=token_name(token.id),
        user=user,
        state=token_state(token, now),
        **{name: getattr(token, name) for name in same},
    )


def show_created(new: NewToken) -> TokenCreated:
    return TokenCreated(token=new.name, secret=new.text)
