"""The sources of the REST API."""

from typing import Final

from ims.alerts.source_statistics import figures_of
from ims.api.fields import Cursor, Limit
from ims.api.operations import Answer, Group
from ims.api.v1.schemas.sources import (
    NewSource,
    SourceChanges,
    SourceList,
    SourceName,
    SourceShown,
    SourceWhole,
    show_source,
    show_source_whole,
)
from ims.core.errors import Conflict, NotFound, Unprocessable
from ims.core.paging import cut, name_in
from ims.core.principal import Role
from ims.core.schemas import Given
from ims.http.authentication import origin
from ims.http.resources import clock, transaction
from ims.sources.queries import all_sources, source_named
from ims.sources.usecases import add_source, change_source, remove_source

api: Final = Group("Sources", "Who sends alerts, what they send, from where and how fast.")


class SourceQuery(Given):
    """Which part of the list."""

    limit: Limit = 50
    cursor: Cursor = None


@api.post(
    "/sources",
    answers=SourceShown,
    status=201,
    least=Role.ADMIN,
    also={200: "It is there already, and described the same."},
    raises=(Conflict, Unprocessable),
    example={"name": "backup-scripts", "kind": "generic", "rate_limit": 10},
)
def create(body: NewSource) -> Answer:
    """Add a source.

    It may send as soon as it has a token.
    """
    with transaction() as session:
        is_new = add_source(session, body.model_dump(mode="json"), origin(), clock())
        shown = show_source(source_named(session, body.name))
    return Answer(shown, status=201 if is_new else 200, headers={"Location": f"/api/v1/sources/{body.name}"})


@api.get("/sources", answers=SourceList, least=Role.ADMIN, raises=(Unprocessable,))
def list_all(query: SourceQuery) -> SourceList:
    """List sources.

    By name, a page at a time.
    """
    after = name_in(query.cursor, []) or ""
    with transaction() as session:
        left = [show_source(source) for source in all_sources(session) if source.name > after]
    rows, following = cut(left, query.limit, lambda shown: shown.name, [])
    return SourceList(items=list(rows), next=following)


@api.get("/sources/{name}", answers=SourceWhole, least=Role.ADMIN)
def one(name: SourceName) -> SourceWhole:
    """Read a source.

    With how many alerts, rejected alerts and tokens there are of it.
    """
    with transaction() as session:
        return show_source_whole(source_named(session, name), figures_of(session, name))


@api.patch(
    "/sources/{name}",
    answers=SourceShown,
    least=Role.ADMIN,
    raises=(Conflict, Unprocessable),
    example={"networks": ["192.0.2.0/24"], "rate_limit": None},
)
def change(name: SourceName, body: SourceChanges) -> SourceShown:
    """Change a source.

    Also disable it, by `enabled`: false. A process may go by what was before for five seconds more.
    """
    with transaction() as session:
        change_source(session, name, body.named, origin(), clock())
        return show_source(source_named(session, name))


@api.delete("/sources/{name}", status=204, least=Role.ADMIN, raises=(Conflict,))
def remove(name: SourceName) -> None:
    """Remove a source.

    With its tokens. One that still has alerts is disabled instead: they are part of incidents.
    """
    with transaction() as session:
        if not remove_source(session, name, origin(), clock()):
            raise NotFound(f"There is no source {name}.")
