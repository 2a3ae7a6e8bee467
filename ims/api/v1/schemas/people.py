"""Accounts and teams; responses never contain a password or its hash."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from ims.accounts.people.inputs import (
    EMAIL_LENGTH,
    NAME_LENGTH,
    NAME_PATTERN,
    PASSWORD_LEAST,
    PASSWORD_MOST,
    TEAM_LENGTH,
    team_name,
)
from ims.accounts.people.queries import Person, TeamOfPeople
from ims.core.principal import Role
from ims.core.schemas import Changes, Listing, RequestModel, ResponseModel
from ims.core.validation import FILLED_LINE_SCHEMA, one_line

MOST_TEAMS: Final = 100
# Good enough to catch a typing mistake; only a message can show whether the address works.
_PART: Final = r"[^@\s\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+"

UserName = Annotated[
    str,
    Field(
        pattern=f"^{NAME_PATTERN}$",
        max_length=NAME_LENGTH,
        description="The account's name: a-z, 0-9 and . _ - @ + ' #; it begins with a letter or digit.",
        examples=["deploy-bot"],
    ),
]
TeamInPath = Annotated[
    str,
    Field(
        pattern=r"^[^/\x00-\x1f\x7f-\x9f]+$",
        max_length=TEAM_LENGTH,
        description="The team's name.",
        examples=["storage"],
    ),
]
_Email = Annotated[
    str,
    Field(pattern=rf"^(?:{_PART}@{_PART})?$", max_length=EMAIL_LENGTH, description="Empty: no address."),
    AfterValidator(one_line),
]
_TeamName = Annotated[
    str, Field(min_length=1, max_length=TEAM_LENGTH, json_schema_extra=FILLED_LINE_SCHEMA), AfterValidator(one_line)
]
_Teams = Annotated[tuple[_TeamName, ...], Field(max_length=MOST_TEAMS, description="The complete list of its teams.")]
_Password = Annotated[
    str,
    # Leading and trailing blanks are part of a password.
    StringConstraints(strip_whitespace=False, min_length=PASSWORD_LEAST, max_length=PASSWORD_MOST),
]


class NewUser(RequestModel):
    """A new account."""

    name: UserName
    role: Annotated[Role, Field(description="Rights of the account.")] = Role.RESPONDER
    email: _Email = ""
    teams: _Teams = ()
    password: Annotated[
        _Password | None,
        Field(description="Needed to sign in; programs use a token instead. At least 12 characters."),
    ] = None


class UserChanges(Changes):
    """Fields to change; omitted fields keep their values."""

    role: Annotated[Role, Field(description="Rights of the account; a change ends its sessions.")] = Role.RESPONDER
    email: _Email = ""
    teams: _Teams = ()
    enabled: Annotated[
        bool, Field(strict=True, description="False: disables the account and revokes its sessions and tokens.")
    ] = True


class NewPassword(RequestModel):
    """A new password."""

    password: Annotated[_Password, Field(description="At least 12 characters. Ends the account's sessions.")]


class NewTeamName(RequestModel):
    """A new team."""

    name: Annotated[
        _TeamName,
        # Lookahead in a schema's pattern is not portable; the validator checks the rest.
        Field(json_schema_extra={"not": {"pattern": r"/|^\s*\.{1,2}\s*$"}}, description="Must not contain a slash."),
        AfterValidator(team_name),
    ]


class NewMember(RequestModel):
    """A new member of a team."""

    user: UserName


class UserState(StrEnum):
    """Whether the account can be used."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class UserResponse(ResponseModel):
    """An account."""

    name: str
    role: Role
    state: UserState
    signs_in_by: Annotated[str, Field(description="`password`, `oidc`, or `nothing`: it has no password yet.")]
    teams: list[str]
    email: str | None
    oidc_issuer: str | None
    oidc_subject: Annotated[str | None, Field(description="Its subject at the identity provider.")]
    created_at: datetime
    disabled_at: datetime | None


class UserList(Listing[UserResponse]):
    """A page of the list of accounts."""


class TeamResponse(ResponseModel):
    """A team."""

    name: str
    members: list[str]
    created_at: datetime


class TeamList(Listing[TeamResponse]):
    """A page of the list of teams."""


def show_user(person: Person) -> UserResponse:
    own = {name: getattr(person, name) for name in UserResponse.model_fields if name not in ("state", "teams")}
    state = UserState.ENABLED if person.disabled_at is None else UserState.DISABLED
    return UserResponse(**own, state=state, teams=list(person.teams))


def show_team(team: TeamOfPeople) -> TeamResponse:
    return TeamResponse(name=team.name, members=list(team.members), created_at=team.created_at)
