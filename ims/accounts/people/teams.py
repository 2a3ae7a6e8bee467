"""Changes of teams, for administrators. A membership takes effect with the account's next request."""

from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.accounts.models import Membership, Team, UserAccount
from ims.accounts.people.inputs import NewTeam
from ims.accounts.people.queries import NoSuchAccount, NoSuchTeam, team_names
from ims.audit.log import record
from ims.core.context import Context
from ims.core.errors import FieldError, Invalid
from ims.core.principal import Role


def create_team(context: Context, new: NewTeam) -> bool:
    """Create a team; false if it exists already."""
    context.require(Role.ADMIN)
    values = {"name": new.name, "created_at": context.now}
    statement = insert(Team).values(values).on_conflict_do_nothing().returning(Team.name)
    if context.session.scalar(statement) is None:
        return False
    record(context, "team.created", new.name)
    return True


def remove_team(context: Context, name: str) -> None:
    """Remove a team with its memberships. Incidents keep its name. Raises `NoSuchTeam`."""
    context.require(Role.ADMIN)
    session = context.session
    members = list(
        session.scalars(
            select(UserAccount.name)
            .join(Membership, Membership.user_id == UserAccount.id)
            .where(Membership.team == name)
            .order_by(UserAccount.name)
        )
    )
    if session.scalar(delete(Team).where(Team.name == name).returning(Team.name)) is None:
        raise NoSuchTeam
    record(context, "team.removed", name, before={"members": members})


def join_team(context: Context, team: str, account_name: str) -> bool:
    """Add an account to a team; false if it is a member already. Raises `NoSuchTeam`, `NoSuchAccount`."""
    context.require(Role.ADMIN)
    return _join(context, _lock_team(context.session, team), _account(context.session, account_name))


def leave_team(context: Context, team: str, account_name: str) -> bool:
    """End a membership; false if there is none. Raises `NoSuchTeam`, `NoSuchAccount`."""
    context.require(Role.ADMIN)
    return _leave(context, _lock_team(context.session, team), _account(context.session, account_name))


def set_teams(context: Context, account: UserAccount, teams: Iterable[str]) -> bool:
    """Make an account a member of exactly these teams; false if nothing changed. Raises `Invalid`."""
    context.require(Role.ADMIN)
    session, wanted = context.session, set(teams)
    if unknown := sorted(wanted.difference(team_names(session))):
        raise Invalid(fields=[FieldError("teams", f"unknown team: {', '.join(unknown)}. Add it first")])
    present = set(session.scalars(select(Membership.team).where(Membership.user_id == account.id)))
    for name in sorted(wanted - present):
        _join(context, _lock_team(session, name), account)
    for name in sorted(present - wanted):
        _leave(context, name, account)
    return wanted != present


def _join(context: Context, team: str, account: UserAccount) -> bool:
    statement = insert(Membership).values(team=team, user_id=account.id).on_conflict_do_nothing()
    if context.session.scalar(statement.returning(Membership.team)) is None:
        return False
    record(context, "team.joined", team, after={"user": account.name})
    return True


def _leave(context: Context, team: str, account: UserAccount) -> bool:
    statement = delete(Membership).where(Membership.team == team, Membership.user_id == account.id)
    if context.session.scalar(statement.returning(Membership.team)) is None:
        return False
    record(context, "team.left", team, before={"user": account.name})
    return True


def _lock_team(session: Session, name: str) -> str:
    """Lock a team against concurrent removal and return its name. Raises `NoSuchTeam`."""
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
