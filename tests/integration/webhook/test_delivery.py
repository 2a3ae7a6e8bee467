"""A real Alertmanager sends to the webhook, which is killed and down for a while: no alert is missing at the end.

`IMS_OUTAGE_SECONDS=300` makes the time long.
"""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from ims.core.db.engine import Database
from ims.core.settings import Settings
from tests.integration.webhook.conftest import TOKEN, serve, stop
from tests.support.alertmanager import Alertmanager, running_alertmanager
from tests.support.postgres import free_port
from tests.support.workers import wait_until

OUTAGE = float(os.environ.get("IMS_OUTAGE_SECONDS", "20"))
DELIVERED_WITHIN = 60
KNOWN_BEFORE = 12
REFRESH_SECONDS = 30
"""Prometheus sends a firing alert again; otherwise Alertmanager would resolve it after five minutes."""
CONFIGURATION = """
route: {{receiver: ims, group_by: [alertname], group_wait: 1s, group_interval: 4s, repeat_interval: 1h}}
receivers:
  - name: ims
    webhook_configs:
      - url: http://127.0.0.1:{port}/alerts
        http_config: {{authorization: {{credentials: "{token}"}}}}
"""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def alertmanager(port: int, tmp_path: Path) -> Iterator[Alertmanager]:
    with running_alertmanager(tmp_path, CONFIGURATION.format(port=port, token=TOKEN)) as running:
        yield running


def open_alerts(database: Database) -> list[str]:
    """Instances of the alerts with an open episode, as often as they have one."""
    with database.begin() as session:
        return list(
            session.scalars(
                text(
                    "SELECT labels ->> 'instance' FROM alert JOIN episode ON alert_id = alert.id"
                    " WHERE closed_at IS NULL ORDER BY 1"
                )
            )
        )


class Prometheus:
    """The firing alerts it would send. Several instances share a name, and so a notification."""

    def __init__(self, alertmanager: Alertmanager) -> None:
        self.alertmanager = alertmanager
        self.firing: dict[str, timedelta] = {}
        self.refreshed_at = time.monotonic()

    def fire(self, instance: str, since: timedelta = timedelta(minutes=5)) -> None:
        self.firing[instance] = since
        self.alertmanager.fire(f"Alert{hash_of(instance)}", since=since, instance=instance, severity="critical")

    def resolve(self, instance: str) -> None:
        del self.firing[instance]
        self.alertmanager.resolve(f"Alert{hash_of(instance)}", instance=instance, severity="critical")

    def refresh(self) -> None:
        if time.monotonic() - self.refreshed_at > REFRESH_SECONDS:
            self.refreshed_at = time.monotonic()
            for instance, since in list(self.firing.items()):
                self.fire(instance, since)


def hash_of(instance: str) -> int:
    """The same in every run."""
    return sum(instance.encode()) % 5


# This is about retries by Alertmanager and by us; the version of PostgreSQL makes no difference.
@pytest.mark.parametrize("postgres", ["18"], indirect=True)
@pytest.mark.timeout(OUTAGE + 2 * DELIVERED_WITHIN + 60)
def test_after_the_webhook_was_away_nothing_is_missing(
    settings: Settings, source: Database, alertmanager: Alertmanager, port: int, tmp_path: Path
) -> None:
    prometheus = Prometheus(alertmanager)
    served = serve(settings, tmp_path, port)
    try:
        for number in range(KNOWN_BEFORE):
            prometheus.fire(f"before-{number}")
        assert wait_until(lambda: open_alerts(source) == sorted(prometheus.firing), DELIVERED_WITHIN)
        served.kill()
        go_on_without_us(prometheus)
    finally:
        stop(served)
    # Also alerts whose notification Alertmanager gave up: it sends them with the group's next notification.
    served = serve(settings, tmp_path, port)
    try:
        assert wait_until(lambda: open_alerts(source) == sorted(prometheus.firing), DELIVERED_WITHIN)
        assert served.post(b"not json")[0] == 400
    finally:
        stop(served)
    with source.begin() as session:
        wrong = session.scalar(
            text(
                "SELECT count(*) FROM incident WHERE (status = 'resolved') = EXISTS"
                " (SELECT 1 FROM episode WHERE incident_id = incident.id AND closed_at IS NULL)"
            )
        )
    assert wrong == 0
    print(f"away for {OUTAGE:g} s: {len(prometheus.firing)} alerts fire, all are known")


def go_on_without_us(prometheus: Prometheus) -> None:
    """Alerts fire, resolve, fire again, and fire and resolve while the webhook is down."""
    prometheus.resolve("before-0")
    prometheus.fire("before-0", timedelta(0))
    end, number = time.monotonic() + OUTAGE, 0
    while time.monotonic() < end:
        number += 1
        prometheus.fire(f"during-{number}")
        if number < KNOWN_BEFORE:
            prometheus.resolve(f"before-{number}")
        if number % 5 == 0:
            prometheus.resolve(f"during-{number - 1}")
        prometheus.refresh()
        time.sleep(max(0.4, OUTAGE / 200))
