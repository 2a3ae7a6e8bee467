"""Alerts by a format of expressions: a ready one, or one of the policy."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

from ims.alerts.notifications import AlertNotification, Ignored, Parsed, Rejected, RejectReason, reject
from ims.alerts.parsers.each import read_each
from ims.alerts.parsers.synonyms import Understood, readable_time
from ims.core.errors import FieldError, Invalid, TooLarge
from ims.policy.alert_formats import AlertFormat, FormatUnfit

_SECONDS: Final = 1e8

ReadFields = Callable[[Understood, Any, str, datetime, int | None], AlertNotification | Rejected | Ignored]
"""Reads an alert whose fields have our names; the alert as it was sent, the source's name, now, its place."""


class NotOfFormat(Invalid):
    """The body is not of its source's format."""


def parse_mapped(
    given_format: AlertFormat, read_fields: ReadFields, most: int, body: Any, source: str, now: datetime
) -> Parsed:
    """The notifications in a body of this format. Raises `NotOfFormat`, `TooLarge`."""
    try:
        alerts = given_format.alerts_in(body)
    except FormatUnfit as unfit:
        raise NotOfFormat(fields=[FieldError("alerts", str(unfit))]) from None
    if len(alerts) > most:
        raise TooLarge(f"A body may hold {most} alerts: send less at once.")
    return read_each(alerts, partial(read_mapped, given_format, read_fields), source, now)


def read_mapped(
    given_format: AlertFormat, read_fields: ReadFields, given: Any, source: str, now: datetime, place: int | None = None
) -> AlertNotification | Rejected | Ignored:
    """Read one alert by a format; never raises for bad input."""
    try:
        if given_format.is_ignored(given):
            return Ignored(f"By format {given_format.name} this is no alert.", place)
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
            return Ignored(f"Format {given_format.name}: {status!r} is neither an alert nor its end.", place)
    if "timestamp" in fields:
        fields["timestamp"] = readable_time(_number(fields["timestamp"]))
    return read_fields(Understood(fields), given, source, now, place)


def _number(text: str) -> str | float:
    """Seconds since 1970 are texts by now. What is shorter may be a date."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if number >= _SECONDS else text
