"""Correlation: an alert's service, environment and severity, and the key made of them, choose its incident. Pure."""

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
    """The service, environment, severity and correlation key of an alert."""

    service: Service | None
    environment: str
    severity: Severity
    key: str
    """Episodes with the same key join the same unresolved incident."""
    lock: str
    """The key without its severity. Its row is locked first, so that alerts of one service with different severities
    wait for each other."""

    @property
    def service_name(self) -> str | None:
        """The inventory host; None if the service is unknown."""
        return self.service.name if self.service else None


def place(notification: AlertNotification, policy: Policy) -> Placement:
    """Place a notification by its labels `service` or `instance`, `environment` and `severity`, as the policy says."""
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
    """The parts as JSON: different parts never give the same key, whatever a sender writes."""
    return _encode(parts)
