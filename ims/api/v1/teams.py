"""The teams of the REST API: for administrators."""

from typing import Final

from sqlalchemy.orm import Session

from ims.accounts.people.inputs import NewTeam
from ims.accounts.people.queries import NoSuchAccount, NoSuchTeam, all_teams
from ims.accounts.people.teams import create_team, join_team, leave_team, remove_team
from ims.api.fields import Cursor, Limit
from ims.api.operations import Answer, Group
from ims.api.v1.schemas.people import NewMember, NewTeamName, TeamInPath, TeamList, TeamShown, UserName, show_team
from ims.core.errors import FieldError, Unprocessable
from ims.core.paging import cut, name_in
from ims.core.principal import Role
from ims.core.schemas import Given
from ims.core.validation import read
from ims.http.authentication import origin
from ims.http.resources import clock, transaction

api: Final = Group("Teams", "Who looks after what: members act on the incidents of their teams. For administrators.")


class TeamQuery(Given):
    """Which part of the list."""

    limit: Limit = 50
    cursor: Cursor = None


@api.post(
    "/teams",
    answers=TeamShown,
    status=201,
    least=Role.ADMIN,
    also={200: "It is there already."},
    raises=(Unprocessable,),
    example={"name": "storage"},
)
def add_team(body: NewTeamName) -> Answer:
    """Add a team.

    Services of the inventory, and incidents, name it.
    """
    with transaction() as session:
        is_new = create_team(session, read(NewTeam, body.model_dump()), origin(), clock())
        return Answer(_found(session, body.name), status=201 if is_new else 200)


@api.get("/teams", answers=TeamList, least=Role.ADMIN, raises=(Unprocessable,))
def list_teams(query: TeamQuery) -> TeamList:
    """List teams.

    By name with their members, a page at a time.
    """
    after = name_in(query.cursor, []) or ""
    with transaction() as session:
        names = [team for team in sorted(all_teams(session), key=lambda team: team.name) if team.name > after]
    rows, following = cut(names, query.limit, lambda team: team.name, [])
    return TeamList(items=[show_team(team) for team in rows], next=following)


@api.get("/teams/{team}", answers=TeamShown, least=Role.ADMIN)
def one_team(team: TeamInPath) -> TeamShown:
    """Read a team.

    With its members.
    """
    with transaction() as session:
        return _found(session, team)


@api.post(
    "/teams/{team}/members",
    answers=TeamShown,
    least=Role.ADMIN,
    raises=(Unprocessable,),
    example={"user": "deploy-bot"},
)
def add_member(team: TeamInPath, body: NewMember) -> TeamShown:
    """Make an account a member.

    It counts from its next request on.
    """
    with transaction() as session:
        try:
            join_team(session, team, body.user, origin(), clock())
        except NoSuchAccount as error:
            raise Unprocessable(fields=[FieldError("user", "has no account")]) from error
        return _found(session, team)


@api.delete("/teams/{team}/members/{user}", status=204, least=Role.ADMIN)
def remove_member(team: TeamInPath, user: UserName) -> None:
    """End a membership.

    Nothing happens to an account that is none.
    """
    with transaction() as session:
        leave_team(session, team, user, origin(), clock())


@api.delete("/teams/{team}", status=204, least=Role.ADMIN)
def drop_team(team: TeamInPath) -> None:
    """Remove a team.

    With its memberships. Incidents go on naming it.
    """
    with transaction() as session:
        if not remove_team(session, team, origin(), clock()):
            raise NoSuchTeam


def _found(session: Session, name: str) -> TeamShown:
    found = next((team for team in all_teams(session) if team.name == name), None)
    if found is None:
        raise NoSuchTeam
    return show_team(found)
