"""Sources that send alerts to ims-web: admitted by the webhook's rules, before the body is read."""

from collections.abc import Sequence
from typing import Any, Final

from flask import current_app, request

from ims.alerts.ingest import Outcome, is_deadlock
from ims.alerts.notifications import AlertNotification, Rejected
from ims.alerts.usecases import take_alerts
from ims.core.db.engine import Database
from ims.core.errors import DatabaseAway
from ims.core.principal import Principal
from ims.core.settings import Settings
from ims.http.authentication import use_case
from ims.sources.admission import Admission
from ims.sources.authentication import Tokens
from ims.sources.tokens import Sender

_TOKENS: Final = "ims.senders.tokens"
_ADMISSION: Final = "ims.senders.admission"


def provide(extensions: dict[str, Any], settings: Settings, database: Database) -> None:
    """Give the application what decides which senders it admits."""
    extensions[_TOKENS] = Tokens(database)
    extensions[_ADMISSION] = Admission(settings.trusted_networks)


def let_in() -> Sender:
    """The sender of this request, by its token. Raises `TokenWrong`, `AddressRefused`, `TooFast`, `DatabaseAway`."""
    sender: Sender = current_app.extensions[_TOKENS].sender(request.headers.get("Authorization"))
    forwarded = request.headers.getlist("X-Forwarded-For")
    admission().let_in(sender, request.remote_addr, forwarded)
    return sender


def sent() -> bytes:
    """The body of this request, whatever its content type."""
    return request.get_data(cache=False)


def take(sender: Sender, notifications: Sequence[AlertNotification], rejected: Sequence[Rejected]) -> Outcome:
    """Commit a sender's alerts in one transaction; once more after a deadlock. Raises `DatabaseAway`."""
    try:
        return _take(sender, notifications, rejected)
    except DatabaseAway as error:
        if not is_deadlock(error):
            raise
        return _take(sender, notifications, rejected)


def _take(sender: Sender, notifications: Sequence[AlertNotification], rejected: Sequence[Rejected]) -> Outcome:
    with use_case(Principal.of_source(sender.name)) as context:
        return take_alerts(context, notifications, rejected)


def admission() -> Admission:
    """What counts the requests of this process against the limits of their sources."""
    found: Admission = current_app.extensions[_ADMISSION]
    return found
