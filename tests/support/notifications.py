"""Notifications and payloads for tests, in the genuine shapes."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from ims.alerts.notifications import AlertNotification, NotificationStatus, labels_fingerprint
from ims.policy.schema import Correlation, Policy, Service
from ims.sources.models import Source

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SOURCE = "alertmanager"
ZERO_TIME = "0001-01-01T00:00:00Z"


def at(seconds: float) -> datetime:
    """A time relative to `NOW`."""
    return NOW + timedelta(seconds=seconds)


def policy(**correlation: Any) -> Policy:
    """Two services, one of them known by its instance too."""
    services = (
        Service(
            name="checkout",
            owner="alice",
            team="shop",
            service_environment="production",
            runbook="https://example.org/checkout",
            instances=("checkout.example:80",),
        ),
        Service(name="search", service_environment="production"),
    )
    return Policy(
        inventory="inventory/local",
        correlation=Correlation(**correlation),
        services={service.name: service for service in services},
    )


def notification(
    name: str = "ServiceDown",
    *,
    starts: float | None = -10,
    ends: float | None = None,
    annotations: Mapping[str, str] | None = None,
    source: str = SOURCE,
    **labels: str,
) -> AlertNotification:
    """A firing notification of service checkout, resolved when `ends` is given. Times are seconds from `NOW`."""
    labels = {"alertname": name, "service": "checkout", "severity": "critical", **labels}
    return AlertNotification(
        source=source,
        fingerprint=labels_fingerprint(labels),
        status=NotificationStatus.FIRING if ends is None else NotificationStatus.RESOLVED,
        name=name,
        labels=labels,
        annotations=annotations or {},
        starts_at=None if starts is None else at(starts),
        ends_at=None if ends is None else at(ends),
        generator_url=None,
    )


def add_source(session: Session, name: str = SOURCE, alertmanager_url: str | None = None) -> None:
    """The sender of the notifications."""
    session.add(Source(name=name, kind="alertmanager", alertmanager_url=alertmanager_url, created_at=NOW))
    session.flush()


def alertmanager_alert(
    name: str = "ServiceDown",
    *,
    status: str = "firing",
    starts_at: str = "2026-03-01T11:59:50.123456789Z",
    ends_at: str = ZERO_TIME,
    **labels: str,
) -> dict[str, Any]:
    """One alert as Alertmanager 0.28 writes it."""
    labels = {"alertname": name, "instance": "checkout.example:80", "job": "services", "severity": "critical", **labels}
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": f"{labels.get('service', 'checkout')} is down"},
        "startsAt": starts_at,
        "endsAt": ends_at,
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "fingerprint": labels_fingerprint(labels),
    }


def alertmanager_body(*alerts: Any, truncated: int = 0) -> dict[str, Any]:
    """A notification of Alertmanager's webhook, version 4, with the keys that newer versions add."""
    return {
        "receiver": "ims",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {"alertname": "ServiceDown"},
        "commonLabels": {"alertname": "ServiceDown", "severity": "critical"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": '{}:{alertname="ServiceDown"}',
        "truncatedAlerts": truncated,
        "notification_reason": "firing",
        "routeLabels": {"severity": "critical"},
    }


def generic_alert(**changes: Any) -> dict[str, Any]:
    """What a script sends that knows nothing of Alertmanager."""
    return {
        "service": "checkout",
        "severity": "high",
        "message": "The queue is long",
        "labels": {"queue": "orders"},
        "timestamp": "2026-03-01T11:59:50Z",
        **changes,
    }


def cloudevent(**changes: Any) -> dict[str, Any]:
    """A CloudEvent in JSON that holds a generic alert without a time of its own."""
    return {
        "specversion": "1.0",
        "id": "A-1",
        "source": "/shop/queues",
        "type": "example.queue.long",
        "time": "2026-03-01T11:59:40Z",
        "datacontenttype": "application/json",
        "data": generic_alert(timestamp=None),
        **changes,
    }


def grafana_body(*alerts: Any) -> dict[str, Any]:
    """A notification of Grafana's alerting."""
    links = {"dashboardURL": "https://grafana.example/d/a", "panelURL": "https://grafana.example/d/a?viewPanel=1"}
    extras = {**links, "silenceURL": "", "imageURL": None, "values": {"A": 93.5}, "valueString": "[ A=93.5 ]"}
    return {
        **alertmanager_body(*({**one, **extras} if isinstance(one, dict) else one for one in alerts)),
        "version": "1",
        "orgId": 1,
        "title": "[FIRING:1] ServiceDown",
        "state": "alerting",
        "message": "**Firing**",
    }
