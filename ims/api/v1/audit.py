"""REST API: the audit log, for administrators."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from ims.api.fields import Since, Until
from ims.api.listing import PageQuery
from ims.api.operations import Group, Stream
from ims.api.v1.schemas.audit import AuditEntryResponse, AuditList
from ims.audit.models import AuditEntry
from ims.audit.queries import Filters, exported, list_entries
from ims.core.errors import Unprocessable
from ims.core.principal import Role
from ims.core.schemas import RequestModel
from ims.core.validation import LINE_SCHEMA, one_line
from ims.http.resources import database, transaction

api: Final = Group("Audit log", "Who changed what, from where, with the values before and after. It is append-only.")

_Word = Annotated[str, Field(max_length=200, json_schema_extra=LINE_SCHEMA), AfterValidator(one_line)]


class ExportQuery(RequestModel):
    """Filters of the audit log."""

    actor: Annotated[_Word, Field(description="Only by this actor: `alice`, or a token such as `alice (T-3)`.")] = ""
    action: Annotated[_Word, Field(description="Only this action, such as `user.disabled`.")] = ""
    kind: Annotated[_Word, Field(description="Only on this kind of object, such as `incident`.")] = ""
    object: Annotated[_Word, Field(description="Only on this object, such as `INC-42`.")] = ""
    address: Annotated[_Word, Field(description="Only from this address.")] = ""
    since: Since = None
    until: Until = None

    @property
    def filters(self) -> Filters:
        """The filters for the query of the audit log."""
        return Filters(**{name: getattr(self, name) for name in ExportQuery.model_fields})


class AuditQuery(PageQuery, ExportQuery):
    """Filters and page of the audit log."""


@api.get("/audit", answers=AuditList, least=Role.ADMIN, raises=(Unprocessable,), example_query="kind=incident&limit=20")
def list_all(query: AuditQuery) -> AuditList:
    """List audit log entries.

    Newest first, paginated. Filters are combined with AND.
    """
    with transaction() as session:
        found = list_entries(session, query.filters, query.limit + 1, query.before)
    return query.page(AuditList, found, lambda entry: entry.id, AuditEntryResponse.model_validate)


@api.get(
    "/audit/export", media_type="application/x-ndjson", least=Role.ADMIN, example_query="since=2026-03-01T00:00:00Z"
)
def export(query: ExportQuery) -> Stream:
    """Export audit log entries.

    All entries that match the filters, newest first, one JSON object per line. Entries written during the export are
    not included.
    """
    entries = exported(database(), query.filters)
    # Read the first entry before the response starts, so that an error still gets an error response.
    begun = chain(list(islice(entries, 1)), entries)
    return Stream(_lines(begun), headers={"Content-Disposition": 'attachment; filename="audit.jsonl"'})


def _lines(entries: Iterator[AuditEntry]) -> Iterator[str]:
    return (AuditEntryResponse.model_validate(entry).model_dump_json() + "\n" for entry in entries)
