"""The alerts of the REST API: sent by scripts, read by everybody."""

import time
from typing import Annotated, Any, Final

from pydantic import Field

from ims.alerts.bodies import response_body
from ims.alerts.listing import AlertFilters, alert_one, episodes_of_alert, list_alerts
from ims.alerts.metrics import ALERT_PROCESSING
from ims.alerts.parsers.generic import GenericAlert, NotGeneric, parse_generic
from ims.api.fields import Id, YesOrNo
from ims.api.listing import PageQuery
from ims.api.operations import Group, Security
from ims.api.v1.schemas.alerts import AlertList, AlertResponse, AlertWhole, Taken, show_alert, show_alert_whole
from ims.core.errors import Forbidden, Unprocessable
from ims.core.json_body import read_json
from ims.http import senders
from ims.http.resources import clock, transaction
from ims.incidents.inputs import KnownSeverity, Name
from ims.sources.admission import AddressRefused, TooFast
from ims.sources.authentication import TokenWrong
from ims.sources.definition import SourceKind

api: Final = Group(
    "Alerts",
    "What sources report. Sending takes the token of a source of kind generic, IMS_SOURCE_TOKEN in the example: "
    "`ims source add NAME --kind generic`, then `ims token create NAME`.",
)

_Only = Annotated[Name, Field(description="Only of this one.")]
_Sent = Annotated[
    GenericAlert | list[GenericAlert] | dict[str, Any] | list[Any],
    Field(description="One alert, or a list of them. What is none is kept aside, and told; the others are taken."),
]


class NotGenericSource(Forbidden):
    """Only sources of kind generic send here: make one with `ims source add NAME --kind generic`."""


class AlertQuery(PageQuery):
    """Which alerts."""

    source: _Only = ""
    service: _Only = ""
    severity: Annotated[KnownSeverity | None, Field(description="Only of this one.")] = None
    name: _Only = ""
    environment: _Only = ""
    firing: Annotated[YesOrNo, Field(description="Only those that fire now, or only those that do not.")] = None


@api.post(
    "/alerts",
    answers=Taken,
    status=202,
    security=Security.SOURCE,
    documents_body=_Sent,
    raises=(NotGeneric, TokenWrong, NotGenericSource, AddressRefused, TooFast),
    example={"message": "The backup of the shop failed", "severity": "high", "fingerprint": "backup-shop"},
)
def send() -> Taken:
    """Send alerts.

    Answered when they are in the database, telling what became of each. Sent again, nothing is doubled. To resolve an
    alert send the same fingerprint with status resolved. The webhook takes the same, faster, at /alerts/generic.
    """
    began = time.monotonic()
    sender = senders.let_in()
    if sender.kind != SourceKind.GENERIC:
        raise NotGenericSource
    parsed = parse_generic(read_json(senders.sent()), sender.name, clock())
    senders.charge(sender, len(parsed.notifications) + len(parsed.rejected))
    outcome = senders.take(sender, parsed.notifications, parsed.rejected)
    ALERT_PROCESSING.observe(time.monotonic() - began)
    return Taken.model_validate(response_body(sender.name, parsed, outcome.results))


@api.get("/alerts", answers=AlertList, raises=(Unprocessable,), example_query="firing=true&limit=20")
def list_all(query: AlertQuery) -> AlertList:
    """List alerts.

    The one that was heard of last for the first time comes first, a page at a time. Filters are joined by "and".
    """
    names = ("source", "service", "severity", "name", "environment", "firing")
    filters = AlertFilters(**{name: value for name in names if (value := getattr(query, name)) is not None})
    with transaction() as session:
        found = list_alerts(session, filters, limit=query.limit + 1, before=query.before)
    return query.page(AlertList, found, lambda listed: listed.alert.id, show_alert)


@api.get("/alerts/{alert_id}", answers=AlertWhole)
def one(alert_id: Id) -> AlertResponse:
    """Read an alert.

    With the times it fired and the incidents they belong to.
    """
    with transaction() as session:
        return show_alert_whole(alert_one(session, alert_id), episodes_of_alert(session, alert_id))
