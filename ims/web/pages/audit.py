"""Pages: the audit log, for administrators, and the same as JSON lines."""

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
KINDS: Final = ("user", "team", "token", "incident", "source", "maintenance", "dead_letter", "policy")


@audit.get("/audit")
@allow(Role.ADMIN)
def index() -> str | tuple[str, int]:
    """Entries, newest first, as the filters in the address say."""
    asked = {name: request.args.get(name, "") for name in FIELDS}
    bound_to = list(asked.values())
    try:
        filters = read_filters(asked)
        before = number_in(request.args.get("cursor"), bound_to)
    except Invalid as error:
        return _page(asked, [], None, error.fields), error.status
    with transaction() as session:
        found = list_entries(session, filters, PAGE_ROWS + 1, before)
    rows, following = cut(found, PAGE_ROWS, lambda entry: entry.id, bound_to)
    given: dict[str, Any] = {name: value for name, value in asked.items() if value}
    more = url_for(".index", **given, cursor=following) if following else None
    return _page(asked, [(row, changes_of(row)) for row in rows], more)


def _page(asked: dict[str, str], rows: object, more: str | None, wrong: object = ()) -> str:
    given: dict[str, Any] = {name: value for name, value in asked.items() if value}
    return render_template(
        "audit/list.html",
        asked=asked,
        rows=rows,
        more=more,
        wrong=wrong,
        kinds=KINDS,
        is_filtered=bool(given),
        is_first="cursor" not in request.args,
        export=url_for(".export", **given),
    )


@audit.get("/audit.jsonl")
@allow(Role.ADMIN)
def export() -> Response:
    """All entries that the filters leave, one JSON object a line, streamed. Raises `Invalid`."""
    filters = read_filters({name: request.args.get(name, "") for name in FIELDS})
    entries = exported(database(), filters)
    # The first are read before the answer begins, so that an error can still be told.
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
