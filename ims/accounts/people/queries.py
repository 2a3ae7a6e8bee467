"""Reading accounts and teams, for administrators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from ims.accounts.models import Membership, Team, UserAccount
from ims.core.errors import NotFound
from ims.core.principal import Role


@dataclass(frozen=True, slots=True)
class Person:
    """An account as administrators see it: everything but the hash of its password."""

    id: UUID
    name: str
    role: Role
    email: str | None
    teams: tuple[str, ...]
    has_password: bool
    oidc_issuer: str | None
    oidc_subject: str | None
    created_at: datetime
    disabled_at: datetime | None
    groups_missing_since: datetime | None

    @property
    def signs_in_by(self) -> str:
        """`password`, `oidc`, or `nothing` for an account that cannot sign in."""
        if self.oidc_subject is not None:
            return "oidc"
        return "password" if self.has_password else "nothing"


@dataclass(frozen=True, slots=True)
class TeamOfPeople:
    """A team with the names of its members."""

    name: str
    members: tuple[str, ...]
    created_at: datetime


class NoSuchAccount(NotFound):
    """There is no account with this name."""


class NoSuchTeam(NotFound):
    """There is no team with this name."""


def people(session: Session, *, after: str = "", limit: int | None = None) -> list[Person]:
    """All accounts by name, disabled ones included; `after` is the last name of the page before."""
    query = _people().where(UserAccount.name > after).order_by(UserAccount.name).limit(limit)
    return [_person(row.UserAccount, row.teams) for row in session.execute(query)]


def person(session: Session, name: str) -> Person:
    """One account. Raises `NoSuchAccount`."""
    row = session.execute(_people().where(UserAccount.name == name)).one_or_none() if "\0" not in name else None
    if row is None:
        raise NoSuchAccount
    return _person(row.UserAccount, row.teams)


def names_of_people(session: Session) -> Sequence[str]:
    """Names of the accounts that are not disabled, in order."""
    return session.scalars(
        select(UserAccount.name).where(UserAccount.disabled_at.is_(None)).order_by(UserAccount.name)
    ).all()


def all_teams(session: Session) -> list[TeamOfPeople]:
    """All teams by name, each with its members by name."""
    members = func.array_agg(UserAccount.name).filter(UserAccount.name.is_not(None))
    query = (
        select(Team.name, Team.created_at, members.label("members"))
        .outerjoin(Membership, Membership.team == Team.name)
        .outerjoin(UserAccount, UserAccount.id == Membership.user_id)
        .group_by(Team.name)
        .order_by(Team.name)
    )
    return [TeamOfPeople(row.name, tuple(sorted(row.members or ())), row.created_at) for row in session.execute(query)]


def team_of_people(session: Session, name: str) -> TeamOfPeople:
    """One team. Raises `NoSuchTeam`."""
    found = next((team for team in all_teams(session) if team.name == name), None)
    if found is None:
        raise NoSuchTeam
    return found


def team_names(session: Session) -> Sequence[str]:
    """Names of all teams, in order."""
    return session.scalars(select(Team.name).order_by(Team.name)).all()


def _people() -> Select[Any]:
    teams = (
        select(func.array_agg(Membership.team))
        .where(Membership.user_id == UserAccount.id)
        .correlate(UserAccount)
        .scalar_subquery()
    )
    return select(UserAccount, teams.label("teams"))


def _person(row: UserAccount, teams: list[str] | None) -> Person:
    return Person(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        email=row.email,
        teams=tuple(sorted(teams or ())),
        has_password=row.password_hash is not None,
        oidc_issuer=row.oidc_issuer,
        oidc_subject=row.oidc_subject,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        groups_missing_since=row.groups_missing_since,
    )
