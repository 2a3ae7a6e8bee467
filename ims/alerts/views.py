"""Pages: what senders sent and nobody could read. API: alerts from scripts, with the token of a source."""

import time
from typing import Any, Final

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ims.alerts.actions import Outcome, ingest, is_deadlock
from ims.alerts.bodies import read_json, told
from ims.alerts.generic import parse_generic
from ims.alerts.notices import Parsed
from ims.alerts.queries import policy_in_force
from ims.alerts.rejected import Wanted, drop, find_rejected, retry
from ims.db.engine import Database
from ims.errors import DatabaseAway, FieldError, Forbidden, Invalid
from ims.http.asking import origin, public
from ims.http.resources import clock, transaction
from ims.log import logger
from ims.metrics import ALERT_PROCESSING, count_taken
from ims.settings import Settings
from ims.sources.admission import Admission
from ims.sources.authentication import Tokens
from ims.sources.definition import SourceKind

alerts = Blueprint("alerts", __name__)
api = Blueprint("alert_api", __name__, url_prefix="/api/v1")
"""Asks for the token of a source and never for a session, so a form's token would protect nothing here."""
log = logger(__name__)

PAGE_ROWS = 50
_MOST_DIGITS = 18
_TOKENS: Final = "ims.alerts.tokens"
_ADMISSION: Final = "ims.alerts.admission"


class NotGenericSource(Forbidden):
    """Only sources of kind generic send here: make one with `ims source add NAME --kind generic`."""


def provide(extensions: dict[str, Any], settings: Settings, database: Database) -> None:
    """Hand the application what decides who may send alerts to it."""
    extensions[_TOKENS] = Tokens(database)
    extensions[_ADMISSION] = Admission(settings.trusted_networks)


@api.post("/alerts")
@public
def take_alerts() -> tuple[dict[str, Any], int]:
    """Take generic alerts as the webhook does at `/alerts/generic`; answers after the commit."""
    began = time.monotonic()
    tokens, admission = current_app.extensions[_TOKENS], current_app.extensions[_ADMISSION]
    sender = tokens.sender(request.headers.get("Authorization"))
    admission.let_in(sender, request.remote_addr, request.headers.getlist("X-Forwarded-For"))
    if sender.kind != SourceKind.GENERIC:
        raise NotGenericSource
    parsed = parse_generic(read_json(request.get_data(cache=False)), sender.name, clock())
    admission.charge(sender, len(parsed.notices) + len(parsed.rejected))
    try:
        outcome = _commit(parsed)
    except DatabaseAway as error:
        if not is_deadlock(error):
            raise
        outcome = _commit(parsed)
    count_taken(outcome, parsed.rejected)
    ALERT_PROCESSING.observe(time.monotonic() - began)
    return told(sender.name, parsed, outcome.results), 202


def _commit(parsed: Parsed) -> Outcome:
    with transaction() as session:
        return ingest(session, parsed.notices, parsed.rejected, policy_in_force(session), clock())


@alerts.get("/rejected")
def rejected() -> str:
    """Rejected alerts, newest first."""
    before = request.args.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) <= _MOST_DIGITS):
        raise Invalid(fields=[FieldError("before", "must be the id of a rejected alert")])
    with transaction() as session:
        rows = find_rejected(session, Wanted(), PAGE_ROWS + 1, int(before) if before else None)
    return render_template(
        "alerts/rejected.html",
        rows=rows[:PAGE_ROWS],
        before=rows[PAGE_ROWS - 1].id if len(rows) > PAGE_ROWS else None,
        is_first=not before,
    )


@alerts.post("/rejected/<int:rejected_id>/retry")
def retry_rejected(rejected_id: int) -> Response:
    """Read it again as it would be read today."""
    with transaction() as session:
        retried = retry(session, rejected_id, origin(), clock())
    log.info("rejected_alert_retried", rejected_id=rejected_id, result=retried.result)
    flash(f"{rejected_id}: {retried.result}. {retried.message}".strip())
    return redirect(url_for(".rejected"))


@alerts.post("/rejected/<int:rejected_id>/drop")
def drop_rejected(rejected_id: int) -> Response:
    """Remove it for good."""
    with transaction() as session:
        dropped = drop(session, [rejected_id], origin(), clock())
    log.info("rejected_alert_dropped", rejected_id=rejected_id, dropped=dropped)
    flash(f"{rejected_id}: {'dropped' if dropped else 'gone already'}.")
    return redirect(url_for(".rejected"))
