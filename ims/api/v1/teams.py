"""REST API: teams, for administrators."""

from typing import Final

from ims.accounts.people.inputs import NewTeam
from ims.accounts.people.queries import NoSuchAccount, all_teams, team_of_people
from ims.accounts.people.teams import create_team, join_team, leave_team, remove_team
from ims.api.listing import PageQuery
from ims.api.operations import Answer, Group
from ims.api.v1.schemas.people import NewMember, NewTeamName, TeamInPath, TeamList, TeamResponse, UserName, show_team
from ims.core.errors import FieldError, Unprocessable
from ims.core.principal import Role
from ims.core.validation import read
from ims.http.authentication import use_case
from ims.http.resources import transaction

api: Final = Group("Teams", "Teams and their members, who can act on the incidents of their teams. For administrators.")


@api.post(
    "/teams",
    answers=TeamResponse,
    status=201,
    least=Role.ADMIN,
    also={200: "The team already exists."},
    raises=(Unprocessable,),
    example={"name": "storage"},
)
def add_team(body: NewTeamName) -> Answer:
    """Add a team.

    Services of the inventory and incidents refer to it by name.
    """
    with use_case() as context:
        is_new = create_team(context, read(NewTeam, body.model_dump()))
        return Answer(show_team(team_of_people(context.session, body.name)), status=201 if is_new else 200)


@api.get("/teams", answers=TeamList, least=Role.ADMIN, raises=(Unprocessable,))
def list_teams(query: PageQuery) -> TeamList:
    """List teams.

    By name, with their members, paginated.
    """
    after = query.after
    with transaction() as session:
        left = [team for team in sorted(all_teams(session), key=lambda team: team.name) if team.name > after]
    return query.page(TeamList, left, lambda team: team.name, show_team)


@api.get("/teams/{team}", answers=TeamResponse, least=Role.ADMIN)
def one_team(team: TeamInPath) -> TeamResponse:
    """Get a team.

    Includes its members.
    """
    with transaction() as session:
        return show_team(team_of_people(session, team))


@api.post(
    "/teams/{team}/members",
    answers=TeamResponse,
    least=Role.ADMIN,
    raises=(Unprocessable,),
    example={"user": "deploy-bot"},
)
def add_member(team: TeamInPath, body: NewMember) -> TeamResponse:
    """Add a member to a team.

    Takes effect with the account's next request.
    """
    with use_case() as context:
        try:
            join_team(context, team, body.user)
        except NoSuchAccount as error:
            raise Unprocessable(fields=[FieldError("user", "does not exist")]) from error
        return show_team(team_of_people(context.session, team))


@api.delete("/teams/{team}/members/{user}", status=204, least=Role.ADMIN)
def remove_member(team: TeamInPath, user: UserName) -> None:
    """Remove a member from a team.

    Does nothing if the account is not a member.
    """
    with use_case() as context:
        leave_team(context, team, user)


@api.delete("/teams/{team}", status=204, least=Role.ADMIN)
def drop_team(team: TeamInPath) -> None:
    """Remove a team.

    Also removes its memberships. Incidents keep the team's name.
    """
    with use_case() as context:
        remove_team(context, team)
