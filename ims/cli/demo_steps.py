"""What has to happen after a kill, and where each step is seen.

Nothing here takes part in the healing: the demo only reads Prometheus and the database, as anybody could.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.core.errors import IMSError
from ims.incidents.models import EventKind, Incident, TimelineEvent
from ims.runs.models import Run

HTTP_TIMEOUT_SECONDS = 3


class PrometheusAway(IMSError):
    """Prometheus does not answer: `make status` tells which program is not running."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that has to happen; `title` is what people read."""

    name: str
    title: str


STEPS = (
    Step("down", "down seen by Prometheus"),
    Step("firing", "alert firing"),
    Step("received", "notice received by the webhook"),
    Step("opened", "incident opened"),
    Step("run_started", "healing run started"),
    Step("run_finished", "healing run finished"),
    Step("verified", "service verified well"),
    Step("alert_resolved", "alert resolved"),
    Step("resolved", "incident resolved"),
)


@dataclass(frozen=True, slots=True)
class Observed:
    """When each step seen so far happened, by its name, and the incident that tells of it."""

    times: Mapping[str, datetime]
    incident: Incident | None
    run: Run | None


def seen_by_prometheus(prometheus_url: str, service: str, since: datetime) -> dict[str, datetime]:
    """Times of the first failed probe and of the first firing alert after `since`, as Prometheus stored them.

    Raises `PrometheusAway`.
    """
    window = f"[{int((datetime.now(UTC) - since).total_seconds()) + 5}s]"
    down = _first(prometheus_url, f'probe_success{{service="{service}"}}{window}', since, value="0")
    firing = _first(prometheus_url, f'ALERTS{{service="{service}",alertstate="firing"}}{window}', since, value="1")
    return {name: at for name, at in (("down", down), ("firing", firing)) if at}


def _first(prometheus_url: str, selector: str, since: datetime, *, value: str) -> datetime | None:
    samples = [
        datetime.fromtimestamp(float(at), UTC)
        for series in query(prometheus_url, selector)
        for at, sample in series["values"]
        if sample == value
    ]
    return min((at for at in samples if at >= since), default=None)


def query(prometheus_url: str, expression: str) -> list[dict[str, Any]]:
    """The result of an instant query. Raises `PrometheusAway`."""
    url = f"{prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=HTTP_TIMEOUT_SECONDS) as response:  # noqa: S310 - a setting of ours
            result: list[dict[str, Any]] = json.load(response)["data"]["result"]
            return result
    except (OSError, ValueError, KeyError) as error:
        raise PrometheusAway from error


def seen_by_ims(session: Session, service: str, since: datetime) -> Observed:
    """What the incident's own record says happened after `since`."""
    incident = session.scalars(
        select(Incident)
        .join(TimelineEvent, TimelineEvent.incident_id == Incident.id)
        .where(Incident.service == service, TimelineEvent.kind == EventKind.ALERT_FIRING, TimelineEvent.at >= since)
        .order_by(Incident.opened_at.desc())
        .limit(1)
    ).first()
    if incident is None:
        return Observed({}, None, None)
    run = session.scalars(
        select(Run).where(Run.incident_id == incident.id, Run.queued_at >= since).order_by(Run.number.desc()).limit(1)
    ).first()
    times: dict[str, datetime | None] = {
        "received": _event_time(session, incident, EventKind.ALERT_FIRING, since),
        "opened": incident.opened_at,
        "run_started": run.started_at if run else None,
        "run_finished": run.finished_at if run else None,
        "verified": _event_time(session, incident, EventKind.VERIFIED_WELL, since),
        "alert_resolved": _event_time(session, incident, EventKind.ALERT_RESOLVED, since),
        "resolved": incident.resolved_at,
    }
    return Observed({name: at for name, at in times.items() if at}, incident, run)


def _event_time(session: Session, incident: Incident, kind: EventKind, since: datetime) -> datetime | None:
    return session.scalars(
        select(TimelineEvent.at)
        .where(TimelineEvent.incident_id == incident.id, TimelineEvent.kind == kind, TimelineEvent.at >= since)
        .order_by(TimelineEvent.seq)
        .limit(1)
    ).first()
