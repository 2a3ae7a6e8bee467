"""Which incident an alert belongs to: its service, environment and severity, and the key made of them. Pure."""

import json
from dataclasses import dataclass

from ims.alerts.notifications import AlertNotification
from ims.core.severity import Severity
from ims.policy.schema import DEFAULT_ENVIRONMENT, Policy, Service

ENVIRONMENT_LENGTH = 128

RANK = {severity: rank for rank, severity in enumerate(Severity)}
"""0 is the worst."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an alert belongs."""

    service: Service | None
    environment: str
    severity: Severity
    key: str
    """Episodes with one key join one unresolved incident."""
    lock: str
    """The key without its severity: its row is locked first, so that two severities of a service wait for another."""

    @property
    def service_name(self) -> str | None:
        """The inventory host, None without a known service."""
        return self.service.name if self.service else None


def place(notification: AlertNotification, policy: Policy) -> Placement:
    """Place a notification: label `service` or `instance`, label `environment`, label `severity`, as data says."""
    service = policy.service_for(notification.labels)
    severity = Severity(policy.correlation.severity_of(notification.labels.get("severity")))
    environment = notification.labels.get("environment", "")[:ENVIRONMENT_LENGTH]
    if not environment:
        environment = service.service_environment if service else DEFAULT_ENVIRONMENT
    if service is None:
        key = _key("alert", notification.source, notification.name)
        return Placement(None, environment, severity, key, key)
    return Placement(
        service,
        environment,
        severity,
        key=_key("service", service.name, environment, severity.value),
        lock=_key("service", service.name, environment),
    )


def is_worse(severity: str, than: str) -> bool:
    """Whether `severity` is worse than the other one."""
    return RANK[Severity(severity)] < RANK[Severity(than)]


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _key(*parts: str) -> str:
    """Parts as JSON: no two different lists of parts make one text, whatever a sender writes."""
    return _encode(parts)
