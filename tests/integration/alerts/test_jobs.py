"""The jobs of this room, against a real server that speaks Alertmanager's API."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from ims.alerts.alertmanager import AlertmanagerAway
from ims.alerts.ingest import ingest
from ims.alerts.models import Alert, DeadLetter
from ims.alerts.notifications import labels_fingerprint
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.errors import ConfigurationFaulty
from ims.core.queue import Job, WorkerContext
from ims.core.settings import Settings
from ims.engine.jobs.alerts import fetch, settle, tasks
from ims.incidents.models import Incident
from tests.support.alertmanager import in_groups
from tests.support.http_server import Quiet, answering
from tests.support.notifications import SOURCE, add_source, alertmanager_alert, notification, policy
from tests.support.postgres import free_port


@contextmanager
def listing(body: bytes, status: bytes = b"{}") -> Iterator[tuple[str, list[str]]]:
    """A server that answers every GET with `body`, that of its status with `status`; gives its URL and those paths."""
    requested: list[str] = []

    class Handler(Quiet):
        def do_GET(self) -> None:
            requested.append(self.path)
            sent = status if self.path.endswith("/status") else body
            self.answer(200, sent)

    with answering(Handler) as url:
        yield url, requested


@pytest.fixture
def worker(settings: Settings, database: Database) -> Iterator[WorkerContext]:
    with ThreadPoolExecutor(2) as threads:
        yield WorkerContext(settings, database, "worker-of-the-test", threads)


def listed(name: str, receiver: str = "ims") -> dict[str, Any]:
    """An alert as the API lists it: endsAt is when it will be given up, status is an object."""
    alert = alertmanager_alert(name, ends_at="2026-03-01T12:04:50.123Z")
    alert["status"] = {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"}
    return {**alert, "receivers": [{"name": receiver}], "updatedAt": "2026-03-01T12:00:50.123Z"}


def test_what_was_cut_is_taken_from_the_configured_alertmanager(worker: WorkerContext) -> None:
    muted = listed("Muted")
    muted["status"]["mutedBy"] = ["nights"]
    broken = {**listed("Broken"), "labels": "none"}
    groups = in_groups([listed("Cut"), listed("AlsoCut"), listed("NotForUs", "someone-else"), muted, broken])
    # An alert may be in several groups of a receiver.
    with listing(json.dumps([*groups, *groups, "no group"]).encode()) as (url, requested):
        with worker.database.begin() as session:
            add_source(session, alertmanager_url=f"{url}/am/")
        assert asyncio.run(fetch(worker, SOURCE, "ims")) == 2
        assert asyncio.run(fetch(worker, SOURCE, "ims")) == 2
    assert requested[0] == "/am/api/v2/status"
    filters = "active=true&silenced=false&inhibited=false&muted=false"
    assert requested[1] == f"/am/api/v2/alerts/groups?{filters}&receiver=ims"
    with worker.database.begin() as session:
        assert sorted(session.scalars(select(Alert.name))) == ["AlsoCut", "Cut"]
        assert session.scalars(text("SELECT notifications FROM episode WHERE closed_at IS NULL")).all() == [2, 2]
        assert set(session.scalars(select(DeadLetter.reason))) == {"wrong_labels"}


def test_other_groups_than_the_truncated_one_send_their_alerts_themselves(worker: WorkerContext) -> None:
    groups = [*in_groups([listed("Sent"), listed("Cut")]), *in_groups([listed("Waiting")])]
    sent = labels_fingerprint(listed("Sent")["labels"])
    with listing(json.dumps(groups).encode()) as (url, _):
        with worker.database.begin() as session:
            add_source(session, alertmanager_url=url)
        assert asyncio.run(fetch(worker, SOURCE, "ims", 1, [sent])) == 2
    with worker.database.begin() as session:
        assert sorted(session.scalars(select(Alert.name))) == ["Cut", "Sent"]


@pytest.mark.parametrize("body", [b"not json", b'{"status": "error"}', b"[" * 100_000])
def test_an_alertmanager_that_talks_nonsense_is_asked_again(worker: WorkerContext, body: bytes) -> None:
    with listing(body) as (url, _):
        with worker.database.begin() as session:
            add_source(session, alertmanager_url=url)
        with pytest.raises(AlertmanagerAway):
            asyncio.run(fetch(worker, SOURCE, None))


def test_an_alertmanager_that_is_away_is_asked_again(worker: WorkerContext) -> None:
    with worker.database.begin() as session:
        add_source(session, alertmanager_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(AlertmanagerAway):
        asyncio.run(fetch(worker, SOURCE, None))
    retry = tasks(worker).tasks[Job.FETCH_TRUNCATED.value].retry_strategy
    assert retry is not None


def test_an_address_that_is_no_web_address_is_never_opened(worker: WorkerContext) -> None:
    with worker.database.begin() as session:
        add_source(session, alertmanager_url="file:///etc/passwd")
    with pytest.raises(ConfigurationFaulty):
        asyncio.run(fetch(worker, SOURCE, None))


def test_a_source_without_an_alertmanager_has_nothing_to_fetch(worker: WorkerContext) -> None:
    with worker.database.begin() as session:
        add_source(session)
    assert asyncio.run(fetch(worker, SOURCE, None)) == 0
    assert asyncio.run(fetch(worker, "unknown", None)) == 0


def test_settling_resolves_only_what_is_quiet(worker: WorkerContext) -> None:
    long_ago = utc_now() - timedelta(hours=1)
    with worker.database.begin() as session:
        add_source(session)
        quiet = policy(auto_resolve={"quiet": 60.0})
        ingest(session, [notification(), notification(ends=5)], [], quiet, long_ago)
        ingest(session, [notification(service="search")], [], quiet, long_ago)
    with worker.database.begin() as session:
        ids = list(session.scalars(select(Incident.id)))
        assert len(settle(session, ids)) == 1
    with worker.database.begin() as session:
        assert sorted(session.execute(select(Incident.service, Incident.status)).all()) == [
            ("checkout", "resolved"),
            ("search", "open"),
        ]
