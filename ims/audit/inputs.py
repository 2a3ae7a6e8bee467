"""Filters of the audit log as people and programs write them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from ims.audit.queries import Filters
from ims.core.validation import Input, one_line, read


def _moment(given: object) -> object:
    """A moment in ISO 8601; without a zone it is UTC. Nothing is no moment."""
    if not isinstance(given, str):
        return given
    if not given.strip():
        return None
    try:
        moment = datetime.fromisoformat(given.strip())
        # Also checks that it is still a moment in UTC.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time such as 2026-03-01 or 2026-03-01T02:00") from None


_Word = Annotated[str, Field(max_length=200), AfterValidator(one_line)]
_Moment = Annotated[datetime | None, BeforeValidator(_moment)]


class _Asked(Input):
    actor: _Word = ""
    action: _Word = ""
    kind: _Word = ""
    object: _Word = ""
    address: _Word = ""
    since: _Moment = None
    until: _Moment = None


def read_filters(given: Mapping[str, Any]) -> Filters:
    """The filters that were asked for. Raises `Invalid` naming every wrong one."""
    asked = read(_Asked, given)
    return Filters(**{name: getattr(asked, name) for name in _Asked.model_fields})
