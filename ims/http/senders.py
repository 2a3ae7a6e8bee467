"""Sources that send alerts to ims-web: admitted as the webhook admits them, before anything of a body is read."""

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
    """Hand the application what decides who may send alerts to it."""
    extensions[_TOKENS] = Tokens(database)
    extensions[_ADMISSION] = Admission(settings.trusted_networks)


def let_in() -> Sender:
    """Whose token this request has. Raises `TokenWrong`, `AddressRefused`, `TooFast`, `DatabaseAway`."""
    sender: Sender = current_app.extensions[_TOKENS].sender(request.headers.get("Authorization"))
    forwarded = request.headers.getlist("X-Forwarded-For")
    current_app.extensions[_ADMISSION].let_in(sender, request.remote_addr, forwarded)
    return sender


def sent() -> bytes:
    """The body of this request, whatever it calls itself."""
    return request.get_data(cache=False)


def take(sender: Sender, notifications: Sequence[AlertNotification], rejected: Sequence[Rejected]) -> Outcome:
    """Take what it sent, in one transaction; once more if another one's was in the way. Raises `DatabaseAway`."""
    try:
        return _take(sender, notifications, rejected)
    except DatabaseAway as error:
        if not is_deadlock(error):
            raise
        return _take(sender, notifications, rejected)


def _take(sender: Sender, notifications: Sequence[AlertNotification], rejected: Sequence[Rejected]) -> Outcome:
    with use_case(Principal.of_source(sender.name)) as context:
        return take_alerts(context, notifications, rejected)


def charge(sender: Sender, alerts: int) -> None:
    """Count what a request brought against what its source may send."""
    current_app.extensions[_ADMISSION].charge(sender, alerts)
