"""Pages for administrators: the audit log, and its export as JSON lines."""

import json
from collections.abc import Iterator
from typing import Any, Final

from flask import Blueprint, Response, render_template, request, url_for

from ims.audit.inputs import read_filters
from ims.audit.models import AuditEntry
from ims.audit.queries import entry_as_json, exported, list_entries
from ims.audit.wording import changes_of
from ims.core.errors import Invalid
from ims.core.paging import cut, number_in
from ims.core.principal import Role
from ims.http.authentication import allow
from ims.http.resources import database, transaction

audit = Blueprint("audit", __name__)

PAGE_ROWS: Final = 100
FIELDS: Final = ("actor", "action", "kind", "object", "address", "since", "until")
KINDS: Final = (
    "user", "team", "token", "incident", "source", "maintenance", "dead_letter", "policy", "schedule", "calendar",
)  # fmt: skip


@audit.get("/audit")
@allow(Role.ADMIN)
def index() -> str | tuple[str, int]:
    """Entries that match the filters, newest first."""
    given = {name: request.args.get(name, "") for name in FIELDS}
    bound_to = list(given.values())
    try:
        filters = read_filters(given)
        before = number_in(request.args.get("cursor"), bound_to)
    except Invalid as error:
        return _page(given, [], None, error.fields), error.status
    with transaction() as session:
        found = list_entries(session, filters, PAGE_ROWS + 1, before)
    rows, following = cut(found, PAGE_ROWS, lambda entry: entry.id, bound_to)
    used: dict[str, Any] = {name: value for name, value in given.items() if value}
    more = url_for(".index", **used, cursor=following) if following else None
    return _page(given, [(row, changes_of(row)) for row in rows], more)


def _page(given: dict[str, str], rows: object, more: str | None, wrong: object = ()) -> str:
    used: dict[str, Any] = {name: value for name, value in given.items() if value}
    return render_template(
        "audit/list.html",
        given=given,
        rows=rows,
        more=more,
        wrong=wrong,
        kinds=KINDS,
        is_filtered=bool(used),
        is_first="cursor" not in request.args,
        export=url_for(".export", **used),
    )


@audit.get("/audit.jsonl")
@allow(Role.ADMIN)
def export() -> Response:
    """All entries that match the filters, one JSON object per line, streamed. Raises `Invalid`."""
    filters = read_filters({name: request.args.get(name, "") for name in FIELDS})
    entries = exported(database(), filters)
    # Read the first entry before the response starts, so that an error still gets an error response.
    first = next(entries, None)
    answer = Response(_lines(first, entries), mimetype="application/jsonl")
    answer.headers["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
    return answer


def _lines(first: AuditEntry | None, others: Iterator[AuditEntry]) -> Iterator[str]:
    if first is None:
        return
    yield json.dumps(entry_as_json(first)) + "\n"
    for entry in others:
        yield json.dumps(entry_as_json(entry)) + "\n"
