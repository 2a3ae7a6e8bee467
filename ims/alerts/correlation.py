"""Correlation: an alert's service, environment and severity, and the key made of them, choose its incident. Pure."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ims.alerts.notifications import UNNAMED, AlertNotification
from ims.core.severity import Severity
from ims.policy.schema import DEFAULT_ENVIRONMENT, Policy, Service

ENVIRONMENT_LENGTH = 128
KEY_LENGTH: Final = 512
"""A longer key becomes its digest: an index entry of PostgreSQL ends at 2.7 kB."""
_GRAFANA_RULE: Final = re.compile(r"/alerting/(?:grafana/)?([A-Za-z0-9_-]+)/(?:view|edit)\b")

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
        key = _key("alert", notification.source, environment, *_what_tells_apart(notification, policy))
        return Placement(None, environment, severity, key, key)
    return Placement(
        service,
        environment,
        severity,
        key=_key("service", service.name, environment, severity.value),
        lock=_key("service", service.name, environment),
    )


def _what_tells_apart(notification: AlertNotification, policy: Policy) -> Iterator[str]:
    """What makes an alert without a known service another problem than the next one of its source and environment.

    Never its severity: a worse one raises the incident.
    """
    labels, rules = notification.labels, policy.correlation
    yield notification.name
    if notification.name == UNNAMED and "alertname" not in labels:
        yield from _pairs({name: value for name, value in labels.items() if name != "severity"})
        if not labels:
            yield notification.fingerprint
        return
    yield rule_of(notification.labels, notification.generator_url)
    if notification.group:
        yield from _pairs(dict(notification.group))
    for label in rules.service_labels:
        if (name := labels.get(label)) and not rules.names_exporter(name, labels):
            yield f"{label}={name}"
            break
    for label in rules.correlation_labels:
        if value := labels.get(label):
            yield f"{label}={value}"


def rule_of(labels: Mapping[str, str], generator_url: str | None) -> str:
    """The rule in Grafana that an alert is of; empty if it tells none.

    Alerts of all rules without data share the name DatasourceNoData: label `rulename` and the address tell them apart.
    """
    if generator_url and "/alerting/" in generator_url and (found := _GRAFANA_RULE.search(generator_url)):
        return found[1]
    return labels.get("rulename", "")


def _pairs(labels: Mapping[str, str]) -> Iterator[str]:
    return (f"{name}={labels[name]}" for name in sorted(labels))


def is_worse(severity: str, than: str) -> bool:
    """Whether `severity` is worse than the other one."""
    return RANK[Severity(severity)] < RANK[Severity(than)]


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _key(*parts: str) -> str:
    """The parts as JSON: different parts never give the same key, whatever a sender writes."""
    key = _encode(parts)
    if len(key) <= KEY_LENGTH:
        return key
    return _encode([*parts[:1], "sha256", hashlib.sha256(key.encode()).hexdigest()])
