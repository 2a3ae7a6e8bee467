"""The expected steps after the kill, and where each is observed.

The demo takes no part in the healing: it only queries Prometheus and the API.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ims.cli.client import Api, place
from ims.cli.errors import Away

HTTP_TIMEOUT_SECONDS = 3
VERIFIED = "verification_passed"
"""Kind of the timeline event for a passed verification."""


class PrometheusAway(Away):
    """Prometheus does not respond: `make status` shows which program is not running."""


@dataclass(frozen=True, slots=True)
class Step:
    """An expected step; `title` is printed."""

    name: str
    title: str


STEPS = (
    Step("down", "down seen by Prometheus"),
    Step("firing", "alert firing"),
    Step("received", "notification received"),
    Step("opened", "incident opened"),
    Step("run_started", "healing run started"),
    Step("run_finished", "healing run finished"),
    Step("verified", "verification passed"),
    Step("alert_resolved", "alert resolved"),
    Step("resolved", "incident resolved"),
)


@dataclass(frozen=True, slots=True)
class Observed:
    """The time of each step observed so far, by its name, and the incident."""

    times: Mapping[str, datetime]
    incident: Mapping[str, Any] | None


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
        with urllib.request.urlopen(url, timeout=HTTP_TIMEOUT_SECONDS) as response:  # noqa: S310 - the URL is a setting
            result: list[dict[str, Any]] = json.load(response)["data"]["result"]
            return result
    except (OSError, ValueError, KeyError) as error:
        raise PrometheusAway from error


def seen_by_ims(api: Api, service: str, since: datetime) -> Observed:
    """The steps after `since` according to the incident's timeline and runs. Raises `Away` while the server is down."""
    for incident in api.first("/incidents", 5, service=service):
        timeline = api.get(place("incidents", incident["incident"], "timeline"), limit=200)["items"]
        received = _event_time(timeline, "alert_firing", since)
        if received is not None:
            return _observed(api, incident, timeline, received, since)
    return Observed({}, None)


def _observed(
    api: Api, incident: dict[str, Any], timeline: list[dict[str, Any]], received: datetime, since: datetime
) -> Observed:
    runs = api.first("/runs", 5, incident=incident["incident"])
    run: dict[str, Any] = next((one for one in runs if datetime.fromisoformat(one["queued_at"]) >= since), {})
    times = {
        "received": received,
        "opened": _time(incident["opened_at"]),
        "run_started": _time(run.get("started_at")),
        "run_finished": _time(run.get("finished_at")),
        "verified": _event_time(timeline, VERIFIED, since),
        "alert_resolved": _event_time(timeline, "alert_resolved", since),
        "resolved": _time(incident["resolved_at"]),
    }
    return Observed({name: at for name, at in times.items() if at}, incident)


def _event_time(timeline: list[dict[str, Any]], kind: str, since: datetime) -> datetime | None:
    found = (datetime.fromisoformat(event["at"]) for event in timeline if event["kind"] == kind)
    return next((at for at in found if at >= since), None)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
