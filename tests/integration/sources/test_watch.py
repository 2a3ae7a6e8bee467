"""The worker's watch over sources, with a real Alertmanager that never sends anything."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from ims.alerts import snapshot
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.engine.membership import Membership
from ims.engine.module import Reports
from ims.engine.modules.gauges import reading
from ims.engine.modules.sources import mark_stale_sources, poll_sources
from ims.sources.models import Source
from tests.support.alertmanager import Alertmanager, running_alertmanager

SHOP = "shop"


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    with running_alertmanager(tmp_path) as running:
        yield running


@pytest.fixture
def worker(settings: Settings, database: Database, alertmanager: Alertmanager) -> Iterator[WorkerContext]:
    with database.begin() as session:
        session.add(
            Source(
                name=SHOP, kind="alertmanager", alertmanager_url=alertmanager.url, receiver="ims", created_at=utc_now()
            )
        )
    # Each look asks again.
    hasty = settings.model_copy(
        update={"reconciliation_seconds": 0.0, "reconciliation_grace_seconds": 0.0, "stale_seconds": 1.0}
    )
    with ThreadPoolExecutor(4) as threads:
        yield WorkerContext(hasty, database, "w", threads)


def look(worker: WorkerContext) -> None:
    async def work() -> None:
        await poll_sources(worker)
        await mark_stale_sources(worker)
        await reading(Membership(worker, Reports()))(worker)

    asyncio.run(work())


def look_until(worker: WorkerContext, *names: str) -> None:
    """Look until these alerts are open, and no others: a notification may be on its way for a second."""
    deadline = time.monotonic() + 20
    look(worker)
    while rows(worker, OPEN) != list(names):
        assert time.monotonic() < deadline, rows(worker, OPEN)
        time.sleep(0.3)
        look(worker)


def rows(worker: WorkerContext, query: str) -> list[Any]:
    with worker.database.begin() as session:
        return [row[0] if len(row) == 1 else tuple(row) for row in session.execute(text(query))]


NO_TIME = timedelta(seconds=-2)
"""An answer tells its time in whole seconds, so one that has just started may seem to do so in a moment."""
OPEN = "SELECT name FROM alert JOIN episode ON alert_id = alert.id WHERE closed_at IS NULL ORDER BY name"


def test_what_alertmanager_never_sent_is_found_and_what_is_over_ends(
    worker: WorkerContext, alertmanager: Alertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    alertmanager.silence("Silenced")
    for name in ("Missed", "Silenced"):
        alertmanager.fire(name)
    alertmanager.fire("NotOurs", team="others")
    alertmanager.wait_for_state(Missed="active", Silenced="suppressed", NotOurs="active")
    look_until(worker, "Missed")
    alertmanager.resolve("Missed")
    alertmanager.wait_for_state(Silenced="suppressed", NotOurs="active")
    look(worker)
    # It has only just started: Prometheus might not have resent all firing alerts yet.
    assert rows(worker, OPEN) == ["Missed"]
    monkeypatch.setattr(snapshot, "SETTLING", NO_TIME)
    look(worker)
    assert rows(worker, OPEN) == []
    assert rows(worker, "SELECT status FROM incident") == ["resolved"]
    assert rows(worker, "SELECT reconciliation_problem, reconciled_at IS NULL FROM source") == [(None, False)]


WITHHELD = "SELECT reconciliation_withheld, reconciliation_withheld_reason FROM source WHERE name = 'shop'"


def withheld() -> float | None:
    return REGISTRY.get_sample_value("ims_source_reconciliation_withheld", {"source": SHOP})


def test_a_wrong_alertmanager_ends_nothing(
    worker: WorkerContext, alertmanager: Alertmanager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SETTLING", NO_TIME)
    alertmanager.fire("Lasting")
    alertmanager.wait_for_state(Lasting="active")
    look_until(worker, "Lasting")
    look(worker)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with running_alertmanager(elsewhere) as wrong:
        wrong.fire("Theirs", team="others")
        wrong.wait_for_state(Theirs="active")
        address(worker, wrong.url)
        look(worker)
        look(worker)
    assert rows(worker, OPEN) == ["Lasting"]
    assert rows(worker, WITHHELD) == [(1, "never_listed")]
    assert withheld() == 1
    address(worker, alertmanager.url)
    look(worker)
    assert rows(worker, WITHHELD) == [(0, None)]
    assert withheld() == 0
    alertmanager.resolve("Lasting")
    alertmanager.wait_for_state()
    look(worker)
    assert rows(worker, OPEN) == []


def test_a_restarted_alertmanager_ends_nothing_until_it_has_settled_and_has_alerts(
    worker: WorkerContext, alertmanager: Alertmanager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Lasting", "Ended"):
        alertmanager.fire(name)
    alertmanager.wait_for_state(Lasting="active", Ended="active")
    look_until(worker, "Ended", "Lasting")
    look(worker)
    alertmanager.stop()
    with running_alertmanager(tmp_path, port=alertmanager.port) as again:
        look(worker)
        look(worker)
        assert rows(worker, WITHHELD) == [(2, "started_lately")]
        monkeypatch.setattr(snapshot, "SETTLING", NO_TIME)
        look(worker)
        look(worker)
        assert rows(worker, WITHHELD) == [(2, "never_listed")]
        assert rows(worker, OPEN) == ["Ended", "Lasting"]
        again.fire("Lasting")
        again.wait_for_state(Lasting="active")
        look(worker)
        assert rows(worker, OPEN) == ["Lasting"]
        assert rows(worker, WITHHELD) == [(0, None)]


def address(worker: WorkerContext, url: str) -> None:
    with worker.database.begin() as session:
        session.get_one(Source, SHOP).alertmanager_url = url


def test_an_alertmanager_that_went_away_is_reported_and_comes_back(
    worker: WorkerContext, alertmanager: Alertmanager, tmp_path: Path
) -> None:
    look(worker)
    alertmanager.stop()
    deadline = time.monotonic() + 20
    while not rows(worker, OPEN):
        assert time.monotonic() < deadline
        time.sleep(0.3)
        look(worker)
    assert rows(worker, OPEN) == ["SourceStale"]
    assert rows(worker, "SELECT reconciliation_problem, stale_since IS NULL FROM source WHERE name = 'shop'") == [
        ("away", False)
    ]
    assert REGISTRY.get_sample_value("ims_source_stale", {"source": SHOP}) == 1
    again = tmp_path / "again"
    again.mkdir()
    with running_alertmanager(again) as back:
        with worker.database.begin() as session:
            session.get_one(Source, SHOP).alertmanager_url = back.url
        look(worker)
    assert rows(worker, OPEN) == []
    assert rows(worker, "SELECT severity, status FROM incident") == [("high", "resolved")]
    assert REGISTRY.get_sample_value("ims_source_stale", {"source": SHOP}) == 0
