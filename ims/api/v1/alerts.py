"""REST API: alerts."""

import time
from typing import Annotated, Any, Final

from pydantic import Field

from ims.alerts.bodies import response_body
from ims.alerts.charging import parse_charged
from ims.alerts.listing import AlertFilters, alert_one, episodes_of_alert, list_alerts
from ims.alerts.metrics import count_request
from ims.alerts.parsers.formats import FormatMissing, parser_for
from ims.alerts.parsers.generic import GenericAlert, NotGeneric, NothingReadable
from ims.api.fields import Id, YesOrNo
from ims.api.listing import PageQuery
from ims.api.operations import Group, Security
from ims.api.v1.schemas.alerts import (
    AlertDetails,
    AlertList,
    SendResponse,
    show_alert,
    show_alert_details,
)
from ims.core.errors import Forbidden, Unprocessable
from ims.core.json_body import read_json
from ims.http import senders
from ims.http.resources import clock, transaction
from ims.incidents.inputs import KnownSeverity, Name
from ims.policy.queries import policy_in_force
from ims.policy.schema import Policy
from ims.sources.admission import AddressRefused, TooFast
from ims.sources.authentication import TokenWrong
from ims.sources.definition import PATHS, SourceKind

api: Final = Group(
    "Alerts",
    "Alerts that sources report. To send, use a token of a source of kind generic (IMS_SOURCE_TOKEN in the example): "
    "`ims source add NAME --kind generic`, then `ims token create NAME`.",
)

_Only = Annotated[Name, Field(description="Only alerts with this value.")]
_Sent = Annotated[
    GenericAlert | list[GenericAlert] | dict[str, Any] | list[Any],
    Field(description="One alert, or a list. Invalid alerts are stored as dead letters; the others are accepted."),
]


class NotGenericSource(Forbidden):
    """This endpoint accepts only sources of kind generic: add one with `ims source add NAME --kind generic`."""


class AlertQuery(PageQuery):
    """Filters of the list of alerts."""

    source: _Only = ""
    service: _Only = ""
    severity: Annotated[KnownSeverity | None, Field(description="Only alerts of this severity.")] = None
    name: _Only = ""
    environment: _Only = ""
    firing: Annotated[YesOrNo, Field(description="true: only firing alerts; false: only those not firing.")] = None


@api.post(
    "/alerts",
    answers=SendResponse,
    status=202,
    security=Security.SOURCE,
    documents_body=_Sent,
    raises=(NotGeneric, NothingReadable, FormatMissing, TokenWrong, NotGenericSource, AddressRefused, TooFast),
    example={"message": "The backup of the shop failed", "severity": "high", "fingerprint": "backup-shop"},
)
def send() -> SendResponse:
    """Send alerts.

    Responds once the alerts are committed, with the result of each. Sending an alert again creates no duplicate. To
    resolve an alert, send the same fingerprint with status resolved. The webhook accepts the same body at
    /alerts/generic, and is faster.
    """
    began = time.monotonic()
    sender = senders.let_in()
    if sender.kind != SourceKind.GENERIC:
        raise NotGenericSource
    parse = parser_for(PATHS[SourceKind.GENERIC], sender, _policy)
    parsed = parse_charged(senders.admission(), sender, lambda: parse(read_json(senders.sent()), sender.name, clock()))
    outcome = senders.take(sender, parsed.notifications, parsed.rejected)
    count_request(parsed, time.monotonic() - began)
    if parsed.is_refused:
        raise NothingReadable(parsed)
    return SendResponse.model_validate(response_body(sender.name, parsed, outcome.results))


def _policy() -> Policy:
    with transaction() as session:
        return policy_in_force(session)


@api.get("/alerts", answers=AlertList, raises=(Unprocessable,), example_query="firing=true&limit=20")
def list_all(query: AlertQuery) -> AlertList:
    """List alerts.

    Ordered by when each was first seen, newest first, and paginated. Filters are combined with AND.
    """
    names = ("source", "service", "severity", "name", "environment", "firing")
    filters = AlertFilters(**{name: value for name in names if (value := getattr(query, name)) is not None})
    with transaction() as session:
        found = list_alerts(session, filters, limit=query.limit + 1, before=query.before)
    return query.page(AlertList, found, lambda listed: listed.alert.id, show_alert)


@api.get("/alerts/{alert_id}", answers=AlertDetails)
def one(alert_id: Id) -> AlertDetails:
    """Get an alert.

    Includes its episodes (each time it fired) and their incidents.
    """
    with transaction() as session:
        return show_alert_details(alert_one(session, alert_id), episodes_of_alert(session, alert_id))
