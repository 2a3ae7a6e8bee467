"""Parse alerts by an `AlertFormat` of JMESPath expressions: a ready one, or one from the policy."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

from ims.alerts.notifications import AlertNotification, Ignored, Parsed, Rejected, RejectReason, reject
from ims.alerts.parsers.each import parse_list
from ims.alerts.parsers.synonyms import Understood, readable_time
from ims.core.errors import FieldError, Invalid
from ims.policy.alert_formats import AlertFormat, FormatUnfit

_LEAST_SECONDS: Final = 1e8
"""A smaller number is no time since 1970, but may be a date such as 20260301."""

ReadFields = Callable[[Understood, Any, str, datetime, int | None], AlertNotification | Rejected | Ignored]
"""`read_fields` of the generic format, passed as an argument since that module imports this one."""


class NotOfFormat(Invalid):
    """The body does not have the format of its source."""


def parse_mapped(given_format: AlertFormat, read_fields: ReadFields, body: Any, source: str, now: datetime) -> Parsed:
    """Parse a body of this format. Raises `NotOfFormat`, `TooLarge`."""
    try:
        alerts = given_format.alerts_in(body)
    except FormatUnfit as unfit:
        raise NotOfFormat(fields=[FieldError("alerts", str(unfit))]) from None
    return parse_list(alerts, partial(read_mapped, given_format, read_fields), source, now)


def read_mapped(
    given_format: AlertFormat, read_fields: ReadFields, given: Any, source: str, now: datetime, place: int | None = None
) -> AlertNotification | Rejected | Ignored:
    """Parse one alert by a format; never raises for bad input."""
    try:
        if given_format.is_ignored(given):
            return Ignored(f"Format {given_format.name}: its `ignore` is true, so this is not an alert.", place)
        fields = given_format.read(given)
    except FormatUnfit as unfit:
        message = f"Format {given_format.name}: {unfit}"
        return reject(given, source, RejectReason.OTHER_FORMAT, message, place)
    if given_format.status is not None:
        status = fields.get("status")
        if status is None:
            message = f"Format {given_format.name}: {given_format.status} finds no status."
            return reject(given, source, RejectReason.OTHER_FORMAT, message, place)
        fields["status"] = given_format.meaning_of(status)
        if fields["status"] == "ignored":
            return Ignored(f"Format {given_format.name}: status {status!r} means neither firing nor resolved.", place)
    if "timestamp" in fields:
        fields["timestamp"] = readable_time(_number(fields["timestamp"]))
    return read_fields(Understood(fields), given, source, now, place)


def _number(text: str) -> str | float:
    """A format reads every value as text: turn seconds since 1970 back into a number."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if number >= _LEAST_SECONDS else text
