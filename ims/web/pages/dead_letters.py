"""Pages: alerts that could not be processed."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ims.alerts.dead_letters import Wanted, drop, list_dead_letters, retry
from ims.core.errors import FieldError, Invalid
from ims.core.log import logger
from ims.http.authentication import use_case
from ims.http.resources import transaction

alerts = Blueprint("alerts", __name__)
log = logger(__name__)

PAGE_ROWS = 50
_MOST_DIGITS = 18


@alerts.get("/dead-letters")
def index() -> str:
    """Dead letters, newest first."""
    before = request.args.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) <= _MOST_DIGITS):
        raise Invalid(fields=[FieldError("before", "must be the id of a dead letter")])
    with transaction() as session:
        rows = list_dead_letters(session, Wanted(), PAGE_ROWS + 1, int(before) if before else None)
    return render_template(
        "alerts/dead_letters.html",
        rows=rows[:PAGE_ROWS],
        before=rows[PAGE_ROWS - 1].id if len(rows) > PAGE_ROWS else None,
        is_first=not before,
    )


@alerts.post("/dead-letters/<int:dead_letter_id>/retry")
def retry_dead_letter(dead_letter_id: int) -> Response:
    """Process it again with the current parsers and source. Raises `NoSuchDeadLetter`."""
    with use_case() as context:
        retried = retry(context, dead_letter_id)
    log.info("dead_letter_retried", dead_letter_id=dead_letter_id, result=retried.result)
    flash(f"{dead_letter_id}: {retried.result}. {retried.message}".strip())
    return redirect(url_for(".index"))


@alerts.post("/dead-letters/<int:dead_letter_id>/drop")
def drop_dead_letter(dead_letter_id: int) -> Response:
    """Delete it. Raises `NoSuchDeadLetter`."""
    with use_case() as context:
        drop(context, [dead_letter_id])
    log.info("dead_letter_dropped", dead_letter_id=dead_letter_id)
    flash(f"{dead_letter_id}: dropped.")
    return redirect(url_for(".index"))
