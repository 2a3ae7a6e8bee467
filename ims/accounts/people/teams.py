"""What happens to teams. Membership counts from the next request on. The caller owns the transaction."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.accounts.models import Membership, Team, UserAccount
from ims.accounts.people.inputs import NewTeam
from ims.accounts.people.queries import NoSuchAccount, NoSuchTeam, team_names
from ims.audit.log import record
from ims.core.context import Origin
from ims.core.errors import FieldError, Invalid


def create_team(session: Session, new: NewTeam, origin: Origin, now: datetime) -> bool:
    """Make a team; false if it is there already."""
    statement = insert(Team).values(name=new.name, created_at=now).on_conflict_do_nothing().returning(Team.name)
    if session.scalar(statement) is None:
        return False
    record(session, origin, "team.created", new.name, now)
    return True


def remove_team(session: Session, name: str, origin: Origin, now: datetime) -> bool:
    """Remove a team with its memberships; false if there is none. Incidents go on naming it."""
    members = list(
        session.scalars(
            select(UserAccount.name)
            .join(Membership, Membership.user_id == UserAccount.id)
            .where(Membership.team == name)
            .order_by(UserAccount.name)
        )
    )
    if session.scalar(delete(Team).where(Team.name == name).returning(Team.name)) is None:
        return False
    record(session, origin, "team.removed", name, now, before={"members": members})
    return True


def join_team(session: Session, team: str, account_name: str, origin: Origin, now: datetime) -> bool:
    """Make an account a member; false if it is one. Raises `NoSuchTeam`, `NoSuchAccount`."""
    return _join(session, _lock_team(session, team), _account(session, account_name), origin, now)


def leave_team(session: Session, team: str, account_name: str, origin: Origin, now: datetime) -> bool:
    """End a membership; false if there is none. Raises `NoSuchTeam`, `NoSuchAccount`."""
    return _leave(session, _lock_team(session, team), _account(session, account_name), origin, now)


def set_teams(session: Session, account: UserAccount, teams: Iterable[str], origin: Origin, now: datetime) -> bool:
    """Make an account a member of exactly these teams; false if it is already. Raises `Invalid`."""
    wanted = set(teams)
    if unknown := sorted(wanted.difference(team_names(session))):
        raise Invalid(fields=[FieldError("teams", f"names no team of ours: {', '.join(unknown)}. Add it first")])
    present = set(session.scalars(select(Membership.team).where(Membership.user_id == account.id)))
    for name in sorted(wanted - present):
        _join(session, _lock_team(session, name), account, origin, now)
    for name in sorted(present - wanted):
        _leave(session, name, account, origin, now)
    return wanted != present


def _join(session: Session, team: str, account: UserAccount, origin: Origin, now: datetime) -> bool:
    statement = insert(Membership).values(team=team, user_id=account.id).on_conflict_do_nothing()
    if session.scalar(statement.returning(Membership.team)) is None:
        return False
    record(session, origin, "team.joined", team, now, after={"user": account.name})
    return True


def _leave(session: Session, team: str, account: UserAccount, origin: Origin, now: datetime) -> bool:
    statement = delete(Membership).where(Membership.team == team, Membership.user_id == account.id)
    if session.scalar(statement.returning(Membership.team)) is None:
        return False
    record(session, origin, "team.left", team, now, before={"user": account.name})
    return True


def _lock_team(session: Session, name: str) -> str:
    """The name of a team that nobody removes meanwhile."""
    query = select(Team.name).where(Team.name == name).with_for_update(key_share=True, read=True)
    found = session.scalar(query) if "\0" not in name else None
    if found is None:
        raise NoSuchTeam
    return found


def _account(session: Session, name: str) -> UserAccount:
    found = session.scalars(select(UserAccount).where(UserAccount.name == name)).one_or_none()
    if found is None:
        raise NoSuchAccount
    return found
