"""Validation of the audit log's filters."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from ims.audit.queries import Filters
from ims.core.validation import Input, one_line, read


def _moment(given: object) -> object:
    """A time in ISO 8601; without a zone it is UTC. An empty text is None."""
    if not isinstance(given, str):
        return given
    if not given.strip():
        return None
    try:
        moment = datetime.fromisoformat(given.strip())
        # The conversion also raises OverflowError for a time that cannot be represented in UTC.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time such as 2026-03-01 or 2026-03-01T02:00") from None


_Line = Annotated[str, Field(max_length=200), AfterValidator(one_line)]
_Moment = Annotated[datetime | None, BeforeValidator(_moment)]


class _Filters(Input):
    actor: _Line = ""
    action: _Line = ""
    kind: _Line = ""
    object: _Line = ""
    address: _Line = ""
    since: _Moment = None
    until: _Moment = None


def read_filters(given: Mapping[str, Any]) -> Filters:
    """Validate filters. Raises `Invalid`, which names every wrong one."""
    valid = read(_Filters, given)
    return Filters(**{name: getattr(valid, name) for name in _Filters.model_fields})
