"""REST API: sources."""

from dataclasses import asdict
from typing import Final

from ims.alerts.source_statistics import statistics_of
from ims.alerts.trial import try_body
from ims.api.listing import PageQuery
from ims.api.operations import Answer, Group
from ims.api.v1.schemas.sources import (
    NewSource,
    SourceChanges,
    SourceDetails,
    SourceList,
    SourceName,
    SourceResponse,
    Trial,
    TrialResponse,
    TriedAlert,
    show_source,
    show_source_details,
)
from ims.core.errors import Conflict, Unprocessable
from ims.core.principal import Role
from ims.http.authentication import use_case
from ims.http.resources import transaction
from ims.sources.queries import all_sources, source_named
from ims.sources.usecases import add_source, change_source, remove_source

api: Final = Group("Sources", "Senders of alerts: their kind, allowed networks and rate limits.")


@api.post(
    "/sources",
    answers=SourceResponse,
    status=201,
    least=Role.ADMIN,
    also={200: "The source already exists with the same values."},
    raises=(Conflict, Unprocessable),
    example={"name": "backup-scripts", "kind": "generic", "rate_limit": 10},
)
def create(body: NewSource) -> Answer:
    """Add a source.

    It can send alerts once it has a token.
    """
    with use_case() as context:
        is_new = add_source(context, body.model_dump(mode="json"))
        shown = show_source(source_named(context.session, body.name))
    return Answer(shown, status=201 if is_new else 200, headers={"Location": f"/api/v1/sources/{body.name}"})


@api.post(
    "/source-trials",
    answers=TrialResponse,
    least=Role.ADMIN,
    raises=(Unprocessable,),
    example={"kind": "generic", "format": None, "body": {"message": "The queue is long", "state": "alerting"}},
)
def try_one(body: Trial) -> TrialResponse:
    """Try a body.

    What each alert in it would become, and which of its keys say nothing to IMS. Nothing is taken.
    """
    with use_case() as context:
        tried = try_body(context, body.kind, body.format, body.body)
    return TrialResponse(alerts=[TriedAlert(**asdict(one)) for one in tried])


@api.get("/sources", answers=SourceList, least=Role.ADMIN, raises=(Unprocessable,))
def list_all(query: PageQuery) -> SourceList:
    """List sources.

    By name, paginated.
    """
    after = query.after
    with transaction() as session:
        left = [source for source in all_sources(session) if source.name > after]
        return query.page(SourceList, left, lambda source: source.name, show_source)


@api.get("/sources/{name}", answers=SourceDetails, least=Role.ADMIN)
def one(name: SourceName) -> SourceDetails:
    """Get a source.

    Includes the numbers of its alerts, dead letters and tokens.
    """
    with transaction() as session:
        return show_source_details(source_named(session, name), statistics_of(session, name))


@api.patch(
    "/sources/{name}",
    answers=SourceResponse,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"networks": ["192.0.2.0/24"], "rate_limit": None},
)
def change(name: SourceName, body: SourceChanges) -> SourceResponse:
    """Change a source.

    Set `enabled` to false to disable it. Processes can use the previous values for up to five seconds.
    """
    with use_case() as context:
        change_source(context, name, body.named)
        return show_source(source_named(context.session, name))


@api.delete("/sources/{name}", status=204, least=Role.ADMIN, raises=(Conflict,))
def remove(name: SourceName) -> None:
    """Remove a source.

    Also removes its tokens. A source that has alerts cannot be removed, since they are part of incidents: disable it
    instead.
    """
    with use_case() as context:
        remove_source(context, name)
