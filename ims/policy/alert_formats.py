"""How alerts are read that are written in their sender's own words: expressions in JMESPath give our fields.

An expression can neither loop nor reach anything but the body, so what a sender writes into that does no harm.
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
"""In `statuses`: whatever has no line of its own."""

StatusMeaning = Literal["firing", "resolved", "ignored"]


_UNFIT: Final = (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError)
"""What evaluating an expression raises because of a body. The specification has null for a comparison of a text with a
number; the library lets Python's TypeError out of it, OverflowError and ValueError out of functions of numbers."""


class FormatUnfit(ValueError):
    """A body does not fit its format; the text says which expression found what."""


def _check_expression(given: str) -> str:
    try:
        jmespath.compile(given)
    except JMESPathError as error:
        raise fault(f"is no JMESPath expression: {' '.join(str(error).split())[:200]}") from None
    return given


Expression = Annotated[StrictStr, Field(min_length=1, max_length=EXPRESSION_LENGTH), AfterValidator(_check_expression)]


class AlertFormat(PolicyPart):
    """How a body becomes alerts. Each expression is asked of one alert, `alerts` of the whole body."""

    name: Name
    """What `ims source add --format` calls it."""
    description: Text | None = None
    alerts: Expression = "@"
    """The alerts in a body: a list of them, or one."""
    message: Expression
    """What is wrong, in a sentence. The others are as in a generic alert."""
    alert: Expression | None = None
    """The alert's name, its label `alertname`."""
    service: Expression | None = None
    severity: Expression | None = None
    environment: Expression | None = None
    status: Expression | None = None
    """What says whether it fires; without it every alert does."""
    fingerprint: Expression | None = None
    timestamp: Expression | None = None
    url: Expression | None = None
    labels: dict[LabelName, Expression] = Field(default={})
    annotations: dict[StrictStr, Expression] = Field(default={})
    all_labels: Expression | None = None
    """An object whose entries become labels, all of them."""
    all_annotations: Expression | None = None
    """An object whose entries become annotations, all of them."""
    statuses: dict[StrictStr, StatusMeaning] = Field(default={})
    """What the texts of `status` mean, in small letters; `*` is any other one. Well-known ones need no line."""
    severities: dict[StrictStr, StrictStr] = Field(default={})
    """What the texts of `severity` mean, in small letters; those of `severity_map` need no line."""
    ignore: Expression | None = None
    """What is true of a body that is no alert, such as a test message."""

    def alerts_in(self, body: Any) -> list[Any]:
        """The alerts of a body. Raises `FormatUnfit`."""
        found = self._ask(self.alerts, body)
        return found if isinstance(found, list) else [] if found is None else [found]

    def is_ignored(self, alert: Any) -> bool:
        """Whether it is no alert. Raises `FormatUnfit`."""
        return self.ignore is not None and self._ask(self.ignore, alert) is True

    def meaning_of(self, status: str) -> str:
        """What a status means; one without a line is what it is."""
        return self.statuses.get(status.strip().lower()) or self.statuses.get(ANY_OTHER) or status

    def read(self, alert: Any) -> dict[str, Any]:
        """The fields of a generic alert as texts, without those that nothing was found for. Raises `FormatUnfit`."""
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
            # Compiled once: the library remembers what it has compiled.
            return jmespath.search(expression, value)
        except _UNFIT as error:
            raise FormatUnfit(f"{expression}: {' '.join(str(error).split())[:200]}") from None


def as_text(value: Any) -> str | None:
    """A value of JSON as a label's or a field's text; None for null and for what is empty."""
    if value is None or value == "" or value == [] or value == {}:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
