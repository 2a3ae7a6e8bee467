"""Formats of common senders, ready for `ims source add --format`.

Each reads what its sender posts by default or, if that is configurable, what docs/how-to/senders.md configures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ims.policy.alert_formats import AlertFormat

# Source: server/notification-providers/webhook.js and src/util.js of louislam/uptime-kuma. Warnings of expiring
# certificates and test messages have no heartbeat and monitor.
_UPTIME_KUMA = AlertFormat(
    name="uptime-kuma",
    description="Uptime Kuma: notification type Webhook, request body application/json",
    ignore="!heartbeat && !contains(msg, 'certificate')",
    message="msg",
    alert="monitor && 'MonitorDown' || 'CertificateExpires'",
    service="monitor.name",
    severity="monitor && 'high' || 'medium'",
    status="heartbeat.status || 'firing'",
    statuses={"0": "firing", "1": "resolved", "2": "ignored", "3": "ignored"},
    fingerprint="monitor && join('-', ['monitor', to_string(monitor.id)]) || msg",
    timestamp="heartbeat.time",
    url="monitor.url",
    labels={"monitor": "monitor.name", "type": "monitor.type"},
    annotations={"description": "heartbeat.msg"},
)
# Source: healthchecks.io/docs/configuring_notifications, "webhook": $JSON is the check as the management API shows it.
_HEALTHCHECKS = AlertFormat(
    name="healthchecks",
    description="healthchecks.io: integration Webhook with $JSON as the body of both requests",
    message="join(' ', [name || slug, 'is', status])",
    alert="'CheckDown'",
    service="slug || name",
    severity="'high'",
    status="status",
    statuses={"down": "firing", "up": "resolved", "*": "ignored"},
    fingerprint="uuid || unique_key || code || slug || name",
    labels={"check": "name || slug", "tags": "tags"},
    annotations={"description": "desc", "last_ping": "last_ping"},
)
# Source: the macros of zabbix.com/documentation; the how-to lists those that the media type sends.
_ZABBIX = AlertFormat(
    name="zabbix",
    description="Zabbix: a media type of type Webhook with the script of docs/how-to/senders.md",
    message="event_name",
    alert="event_name",
    service="service",
    severity="event_severity",
    severities={"not classified": "low", "information": "low", "average": "high", "disaster": "critical"},
    status="event_update_status == '1' && 'update' || to_string(event_value)",
    statuses={"1": "firing", "0": "resolved", "update": "ignored"},
    fingerprint="event_id",
    url="url",
    labels={"instance": "host", "trigger": "trigger_id"},
    annotations={"description": "event_opdata"},
)
# Source: docs.opsgenie.com, "Create Alert" of the Alert API, and "Webhook data" of the outgoing integration.
_OPSGENIE = AlertFormat(
    name="opsgenie",
    description="Senders made for Opsgenie: its Create Alert request, or the data of its outgoing webhook",
    message="alert.message || message",
    alert="alert.message || message",
    severity="alert.priority || priority",
    status="action || 'create'",
    statuses={"create": "firing", "close": "resolved", "delete": "resolved", "*": "ignored"},
    fingerprint="alert.alias || alias || alert.alertId",
    labels={"instance": "alert.entity || entity", "tags": "join(',', alert.tags || tags || `[]`)"},
    annotations={"description": "alert.description || description"},
    all_annotations="alert.details || details",
)
# Source: developer.pagerduty.com, "Send an alert event" of the Events API v2.
_PAGERDUTY = AlertFormat(
    name="pagerduty",
    description="Senders made for PagerDuty's Events API v2",
    message="payload.summary || dedup_key",
    alert="payload.class || payload.summary || dedup_key",
    severity="payload.severity",
    status="event_action",
    statuses={"trigger": "firing", "resolve": "resolved", "acknowledge": "ignored"},
    fingerprint="dedup_key",
    timestamp="payload.timestamp",
    url="client_url || links[0].href",
    labels={
        "instance": "payload.source", "component": "payload.component", "group": "payload.group",
        "class": "payload.class",
    },
    annotations={"details": "payload.custom_details"},
)  # fmt: skip
# Source: docs.sensu.io, "Events", the JSON that a handler gets; Sensu Core's has `client` in place of `entity`.
_SENSU = AlertFormat(
    name="sensu",
    description="Sensu: a pipe handler that posts its input",
    ignore="!check",
    message="check.output || check.metadata.name || check.name",
    alert="check.metadata.name || check.name",
    severity="to_string(check.status)",
    severities={"1": "warning", "2": "critical"},
    status="to_string(check.status)",
    statuses={"0": "resolved", "*": "firing"},
    fingerprint="join('/', [entity.metadata.namespace || 'default', entity.metadata.name || client.name,"
    " check.metadata.name || check.name])",
    timestamp="timestamp",
    labels={
        "instance": "entity.metadata.name || client.name", "namespace": "entity.metadata.namespace",
        "check": "check.metadata.name || check.name",
    },
)  # fmt: skip
_NAGIOS = AlertFormat(
    name="nagios",
    description="Nagios, Naemon, Icinga: a notification command with the script of docs/how-to/senders.md",
    message="join(' ', [service || 'Host', 'on', host, 'is', state])",
    alert="service || 'HostDown'",
    severity="state",
    severities={"unreachable": "high", "unknown": "medium"},
    status="type",
    statuses={"problem": "firing", "recovery": "resolved", "*": "ignored"},
    fingerprint="join('!', [host, service || ''])",
    timestamp="time",
    labels={"instance": "host", "check": "service"},
    annotations={"description": "output"},
)
_ICINGA = _NAGIOS.model_copy(update={"name": "icinga"})
# Source: kubernetes.io/docs/reference, Event of core/v1, and of events.k8s.io/v1 with `regarding` and `note`.
KUBERNETES_EVENT: Final = AlertFormat(
    name="kubernetes-event",
    description="Events of Kubernetes: those of type Warning",
    message="message || note || reason",
    alert="reason",
    severity="'warning'",
    status="type",
    statuses={"warning": "firing", "*": "ignored"},
    fingerprint="join('/', [(involvedObject || regarding).kind || '', (involvedObject || regarding).namespace || '',"
    " (involvedObject || regarding).name || '', reason || ''])",
    labels={
        "namespace": "(involvedObject || regarding).namespace", "kind": "(involvedObject || regarding).kind",
        "instance": "(involvedObject || regarding).name",
    },
)  # fmt: skip

READY_FORMATS: Final[Mapping[str, AlertFormat]] = {
    one.name: one
    for one in (
        _UPTIME_KUMA, _HEALTHCHECKS, _ZABBIX, _OPSGENIE, _PAGERDUTY, _SENSU, _NAGIOS, _ICINGA, KUBERNETES_EVENT,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sign:
    """The keys by which a well-known sender's body is recognised."""

    sender: str
    remedy: str
    holders: tuple[str, ...]
    """One of these keys, if there are any, must have an object or a list."""
    keys: tuple[str, ...]
    """All of these keys must be present."""

    def fits(self, body: Mapping[str, Any]) -> bool:
        """Whether a body has these keys."""
        return all(key in body for key in self.keys) and (
            not self.holders or any(isinstance(body.get(key), dict | list) for key in self.holders)
        )


def _by_format(name: str) -> str:
    return f"set the source's format: ims source set NAME --kind generic --format {name}"


SIGNS: Final = (
    Sign("Uptime Kuma", _by_format("uptime-kuma"), (), ("heartbeat", "monitor", "msg")),
    Sign("healthchecks.io", _by_format("healthchecks"), (), ("n_pings", "status")),
    Sign("Zabbix", _by_format("zabbix"), (), ("event_id", "event_value")),
    Sign("Opsgenie", _by_format("opsgenie"), ("alert",), ("action", "alert")),
    Sign("PagerDuty's Events API", _by_format("pagerduty"), ("payload",), ("event_action",)),
    Sign("PagerDuty's Events API", _by_format("pagerduty"), (), ("event_action", "routing_key")),
    Sign("Sensu", _by_format("sensu"), ("check",), ("check", "entity")),
    Sign("Sensu", _by_format("sensu"), ("check",), ("check", "client")),
    Sign(
        "Alertmanager or Grafana",
        "send it to /alerts, with the token of a source of kind alertmanager or grafana",
        ("alerts",),
        ("alerts", "receiver"),
    ),
)


def sign_of(body: Mapping[str, Any]) -> Sign | None:
    """The sign of the well-known sender that wrote this body; None if no sign fits."""
    return next((sign for sign in SIGNS if sign.fits(body)), None)


def is_kubernetes_event(body: Mapping[str, Any]) -> bool:
    """Whether a body is an Event of Kubernetes, whose type says whether it is an alert."""
    return body.get("kind") == "Event" and isinstance(body.get("apiVersion"), str)
