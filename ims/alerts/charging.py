"""The body of a sender's request is parsed, and the sender pays for it, whichever program took the request."""

from collections.abc import Callable

from ims.alerts.notifications import Parsed
from ims.sources.admission import Admission
from ims.sources.tokens import Sender


def parse_charged(admission: Admission, sender: Sender, parse: Callable[[], Parsed]) -> Parsed:
    """Parse a body and count its alerts against the rate limit of the source. Raises what `parse` raises.

    A body that cannot be parsed has cost as much as one alert, and is charged as one.
    """
    alerts = 1
    try:
        parsed = parse()
        alerts = len(parsed.notifications) + len(parsed.rejected)
    finally:
        admission.charge(sender, alerts)
    return parsed
