"""The statistics of the REST API."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

from ims.api.fields import Since, Until
from ims.api.operations import Group
from ims.api.v1.schemas.summary import SummaryResponse, show_summary
from ims.core.errors import Unprocessable
from ims.core.schemas import RequestModel
from ims.http.resources import clock, transaction
from ims.incidents.inputs import KnownSeverity, Name
from ims.reports.summary import Chosen, read_summary

api: Final = Group("Statistics", "How many incidents there were, how bad, and how long people and automation took.")

DEFAULT_RANGE: Final = timedelta(days=30)

_Only = Annotated[Name, Field(description="Only of this one.")]


class SummaryQuery(RequestModel):
    """Which days, and which incidents."""

    since: Since = None
    until: Until = None
    service: _Only = ""
    environment: _Only = ""
    severity: Annotated[KnownSeverity | None, Field(description="Only of this one.")] = None
    team: _Only = ""


@api.get(
    "/incidents/stats/summary",
    answers=SummaryResponse,
    raises=(Unprocessable,),
    example_query="environment=production&severity=high",
)
def summary(query: SummaryQuery) -> SummaryResponse:
    """Sum up a range of days.

    From the UTC day of `since` to the one before `until`, or the one it is in; without them, the last 30 days. Counts,
    means and percentiles are kept day by day, so a year is as quick as a week.
    """
    now = clock()
    until = query.until or now
    since = query.since or (until - DEFAULT_RANGE if until.year > 1 else until)
    chosen = Chosen(query.service, query.environment, query.severity or "", query.team)
    with transaction() as session:
        return show_summary(read_summary(session, since, until, chosen, now))
