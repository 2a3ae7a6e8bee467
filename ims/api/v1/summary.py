"""REST API: statistics."""

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

api: Final = Group("Statistics", "Incident counts by severity, and times to acknowledge, heal and resolve.")

DEFAULT_RANGE: Final = timedelta(days=30)

_Only = Annotated[Name, Field(description="Only incidents with this value.")]


class SummaryQuery(RequestModel):
    """Range of days, and filters of the incidents."""

    since: Since = None
    until: Until = None
    service: _Only = ""
    environment: _Only = ""
    severity: Annotated[KnownSeverity | None, Field(description="Only incidents of this severity.")] = None
    team: _Only = ""


@api.get(
    "/incidents/stats/summary",
    answers=SummaryResponse,
    raises=(Unprocessable,),
    example_query="environment=production&severity=high",
)
def summary(query: SummaryQuery) -> SummaryResponse:
    """Get the statistics of a range of days.

    From the UTC day of `since` to the last UTC day that begins before `until`; by default the last 30 days. Counts,
    means and percentiles are stored per day, so a year is as fast to query as a week.
    """
    now = clock()
    until = query.until or now
    since = query.since or (until - DEFAULT_RANGE if until.year > 1 else until)
    chosen = Chosen(query.service, query.environment, query.severity or "", query.team)
    with transaction() as session:
        return show_summary(read_summary(session, since, until, chosen, now))
