"""Formats of the policy, by which IMS parses senders' own JSON: JMESPath expressions extract the generic fields.

An expression cannot loop, and reads nothing but the body, so a malicious body does no harm.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, StrictStr

from ims.policy.parts import LabelName, Name, PolicyPart, Text, fault

EXPRESSION_LENGTH: Final = 1000
ANY_OTHER: Final = "*"
"""In `statuses`: every status that is not listed."""

StatusMeaning = Literal["firing", "resolved", "ignored"]


_UNFIT: Final = (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError)
"""What evaluating an expression raises because of a body. The specification has null for a comparison of a text with a
number; the library lets Python's TypeError out of it, OverflowError and ValueError out of functions of numbers."""


class FormatUnfit(ValueError):
    """A body does not fit its format; the message names the expression and its error."""


def _check_expression(given: str) -> str:
    try:
        jmespath.compile(given)
    except JMESPathError as error:
        raise fault(f"is not a valid JMESPath expression: {' '.join(str(error).split())[:200]}") from None
    return given


Expression = Annotated[StrictStr, Field(min_length=1, max_length=EXPRESSION_LENGTH), AfterValidator(_check_expression)]


class AlertFormat(PolicyPart):
    """How a body becomes alerts. `alerts` is evaluated on the whole body, every other expression on one alert."""

    name: Name
    """The name for `ims source add --format`."""
    description: Text | None = None
    alerts: Expression = "@"
    """The alerts in a body: a list of them, or one."""
    message: Expression
    """What is wrong, in a sentence. The fields below have the meaning that they have in a generic alert."""
    alert: Expression | None = None
    """The alert's name, its label `alertname`."""
    service: Expression | None = None
    severity: Expression | None = None
    environment: Expression | None = None
    status: Expression | None = None
    """Whether the alert is firing or resolved; without this expression every alert is firing."""
    fingerprint: Expression | None = None
    timestamp: Expression | None = None
    url: Expression | None = None
    labels: dict[LabelName, Expression] = Field(default={})
    annotations: dict[StrictStr, Expression] = Field(default={})
    all_labels: Expression | None = None
    """An object all of whose entries become labels."""
    all_annotations: Expression | None = None
    """An object all of whose entries become annotations."""
    statuses: dict[StrictStr, StatusMeaning] = Field(default={})
    """The meaning of each value of `status`, in lower case; `*` is any other value. Well-known values need no entry."""
    severities: dict[StrictStr, StrictStr] = Field(default={})
    """The severity for each value of `severity`, in lower case; values of `severity_map` need no entry."""
    ignore: Expression | None = None
    """True if this is not an alert but, for example, a test message."""

    def alerts_in(self, body: Any) -> list[Any]:
        """The alerts of a body. Raises `FormatUnfit`."""
        found = self._ask(self.alerts, body)
        return found if isinstance(found, list) else [] if found is None else [found]

    def is_ignored(self, alert: Any) -> bool:
        """Whether `ignore` is true. Raises `FormatUnfit`."""
        return self.ignore is not None and self._ask(self.ignore, alert) is True

    def meaning_of(self, status: str) -> str:
        """The meaning of a status by `statuses`; without an entry, the status itself."""
        return self.statuses.get(status.strip().lower()) or self.statuses.get(ANY_OTHER) or status

    def read(self, alert: Any) -> dict[str, Any]:
        """The fields of a generic alert as text, without those whose expression finds nothing. Raises `FormatUnfit`."""
        found: dict[str, Any] = {}
        for field, expression in self._fields.items():
            if (text := self._text(expression, alert)) is not None:
                found[field] = text
        if severity := found.get("severity"):
            found["severity"] = self.severities.get(severity.lower(), severity)
        found["labels"] = self._pairs(self.all_labels, self.labels, alert)
        found["annotations"] = self._pairs(self.all_annotations, self.annotations, alert)
        return found

    @cached_property
    def _fields(self) -> Mapping[str, str]:
        given = {
            "message": self.message, "name": self.alert, "service": self.service, "severity": self.severity,
            "environment": self.environment, "status": self.status, "fingerprint": self.fingerprint,
            "timestamp": self.timestamp, "url": self.url,
        }  # fmt: skip
        return {field: expression for field, expression in given.items() if expression is not None}

    def _pairs(self, whole: str | None, each: Mapping[str, str], alert: Any) -> dict[str, str]:
        pairs: dict[str, str] = {}
        if whole is not None and isinstance(entries := self._ask(whole, alert), dict):
            pairs = {name: text for name, value in entries.items() if (text := as_text(value)) is not None}
        for name, expression in each.items():
            if (text := self._text(expression, alert)) is not None:
                pairs[name] = text
        return pairs

    def _text(self, expression: str, alert: Any) -> str | None:
        return as_text(self._ask(expression, alert))

    def _ask(self, expression: str, value: Any) -> Any:
        try:
            # jmespath caches compiled expressions.
            return jmespath.search(expression, value)
        except _UNFIT as error:
            raise FormatUnfit(f"{expression}: {' '.join(str(error).split())[:200]}") from None


def as_text(value: Any) -> str | None:
    """A JSON value as the text of a label or field; None for null and for empty values."""
    if value is None or value == "" or value == [] or value == {}:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
