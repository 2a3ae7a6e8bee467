"""Pages: one run with its live log."""

from flask import Blueprint, Response, render_template, request, stream_with_context
from werkzeug.wrappers import Response as AnyResponse

from ims.core.errors import FieldError, Invalid
from ims.http.resources import clock, database, transaction
from ims.incidents.models import Incident
from ims.runs.log import end_of_log
from ims.runs.log_text import plain_log
from ims.runs.models import ACTIVE, Verification
from ims.runs.queries import events_after, run_by_name
from ims.web import live

runs = Blueprint("runs", __name__)

PAGE_CHARACTERS = 60_000
_MOST = 2**31 - 1


@runs.get("/runs/<reference>")
def one(reference: str) -> AnyResponse:
    """One run: playbook, target, reason, outcome and log."""
    with transaction() as session:
        run = run_by_name(session, reference)
        incident = session.get(Incident, run.incident_id) if run.incident_id else None
        log = end_of_log(session, run.id, characters=PAGE_CHARACTERS)
        verification = session.get(Verification, run.id)
    is_active = run.outcome in ACTIVE
    state = [run.outcome, run.started_at, run.finished_at, run.ended_at, run.reason, run.failed_task]
    return live.answer(
        state,
        lambda: render_template(
            "runs/one.html", run=run, incident=incident, verification=verification, log=log, is_active=is_active,
            now=clock(),
        ),
    )  # fmt: skip


@runs.get("/runs/<reference>/log")
def log_part(reference: str) -> Response:
    """The log lines after `after` as markup. Header X-IMS-Cursor is the `after` of the next request."""
    after = request.args.get("after", "0")
    if not after.isascii() or not after.isdecimal() or int(after[:12]) > _MOST:
        raise Invalid(fields=[FieldError("after", "must be the number of a line")])
    with transaction() as session:
        run = run_by_name(session, reference)
        events = events_after(session, run.id, int(after))
    response = Response(render_template("runs/_lines.html", events=events), mimetype="text/html")
    response.headers["X-IMS-Cursor"] = str(events[-1].counter if events else after)
    response.headers["X-IMS-Active"] = "yes" if run.outcome in ACTIVE else "no"
    return response


@runs.get("/runs/<reference>/log.txt")
def log_text(reference: str) -> Response:
    with transaction() as session:
        run_id = run_by_name(session, reference).id
    return Response(stream_with_context(plain_log(database(), run_id)), mimetype="text/plain")
