"""Show which alerts and incidents a body would become, and why, without storing anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ims.alerts.batch import title_of
from ims.alerts.correlation import place
from ims.alerts.notifications import AlertNotification
from ims.alerts.parsers.formats import FormatMissing, format_of
from ims.core.context import Context
from ims.core.errors import FieldError, Invalid, Unprocessable
from ims.core.principal import Role
from ims.policy.queries import policy_in_force
from ims.policy.schema import Policy

SOURCE = "try"
"""The name of the source in these alerts."""


class BodyDoesNotFit(Unprocessable):
    """The body does not have this format."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What one alert would become: `firing`, `resolved`, `ignored` or `rejected`."""

    place: int
    result: str
    message: str | None = None
    name: str | None = None
    title: str | None = None
    fingerprint: str | None = None
    service: str | None = None
    environment: str | None = None
    severity: str | None = None
    correlation_key: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


def try_body(context: Context, kind: str, format_name: str | None, body: Any) -> list[Tried]:
    """Parse a body as from a source of this kind and format.

    Raises `BodyDoesNotFit`, and `Unprocessable` for an unknown format and for a kind without alerts.
    """
    context.require(Role.ADMIN)
    policy = policy_in_force(context.session)
    try:
        known = format_of(kind, format_name, lambda: policy)
    except FormatMissing:
        raise Unprocessable(
            fields=[FieldError("format", "is not known: use one that IMS brings, or one of the policy's alert_formats")]
        ) from None
    if known is None:
        raise Unprocessable(fields=[FieldError("kind", "sends no alerts")])
    try:
        parsed = known.parse(body, SOURCE, context.now)
    except Invalid as error:
        raise BodyDoesNotFit(str(error), fields=error.fields) from None
    found = [
        _tried(policy, at, notification) for at, notification in zip(parsed.places, parsed.notifications, strict=True)
    ]
    found += [Tried(one.place or 0, "rejected", one.message) for one in parsed.rejected]
    found += [Tried(one.place or 0, "ignored", one.message) for one in parsed.ignored]
    return sorted(found, key=lambda one: one.place)


def _tried(policy: Policy, at: int, one: AlertNotification) -> Tried:
    placement = place(one, policy)
    return Tried(
        at,
        one.status.value,
        name=one.name,
        title=title_of(one.name, one.labels, one.annotations, placement.service_name),
        fingerprint=one.fingerprint,
        service=placement.service_name,
        environment=placement.environment,
        severity=placement.severity.value,
        correlation_key=placement.key,
        labels=one.labels,
        annotations=one.annotations,
        unused=one.unused,
    )
