"""Pages: what senders sent and nobody could read."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ims.alerts.dead_letters import Wanted, drop, find_rejected, retry
from ims.core.errors import FieldError, Invalid
from ims.core.log import logger
from ims.http.authentication import use_case
from ims.http.resources import transaction

alerts = Blueprint("alerts", __name__)
log = logger(__name__)

PAGE_ROWS = 50
_MOST_DIGITS = 18


@alerts.get("/rejected")
def rejected() -> str:
    """Dead letters, newest first."""
    before = request.args.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) <= _MOST_DIGITS):
        raise Invalid(fields=[FieldError("before", "must be the id of a dead letter")])
    with transaction() as session:
        rows = find_rejected(session, Wanted(), PAGE_ROWS + 1, int(before) if before else None)
    return render_template(
        "alerts/dead_letters.html",
        rows=rows[:PAGE_ROWS],
        before=rows[PAGE_ROWS - 1].id if len(rows) > PAGE_ROWS else None,
        is_first=not before,
    )


@alerts.post("/rejected/<int:rejected_id>/retry")
def retry_rejected(rejected_id: int) -> Response:
    """Read it again as it would be read today. Raises `NoSuchDeadLetter`."""
    with use_case() as context:
        retried = retry(context, rejected_id)
    log.info("dead_letter_retried", rejected_id=rejected_id, result=retried.result)
    flash(f"{rejected_id}: {retried.result}. {retried.message}".strip())
    return redirect(url_for(".rejected"))


@alerts.post("/rejected/<int:rejected_id>/drop")
def drop_rejected(rejected_id: int) -> Response:
    """Remove it for good. Raises `NoSuchDeadLetter`."""
    with use_case() as context:
        drop(context, [rejected_id])
    log.info("dead_letter_dropped", rejected_id=rejected_id)
    flash(f"{rejected_id}: dropped.")
    return redirect(url_for(".rejected"))
