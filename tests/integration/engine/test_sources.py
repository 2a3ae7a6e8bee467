"""The real worker polls a real Alertmanager: a service is healed even if its notification was lost."""

import urllib.request
from pathlib import Path

import pytest
from sqlalchemy import select

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.incidents.models import Incident
from ims.runs.models import Run
from ims.sources.models import Source
from tests.integration.engine.conftest import MakeSite, StartWorker
from tests.support.alertmanager import running_alertmanager
from tests.support.workers import wait_until

pytestmark = pytest.mark.parametrize("postgres", ["18"], indirect=True)


def test_a_service_is_healed_though_its_notification_was_lost(
    make_site: MakeSite, start_worker: StartWorker, database: Database, tmp_path: Path
) -> None:
    site = make_site()
    site.break_service("shop")
    with running_alertmanager(tmp_path) as alertmanager:
        alertmanager.fire("ServiceDown", service="shop")
        alertmanager.wait_for_state(ServiceDown="active")
        with database.begin() as session:
            session.add(
                Source(
                    name="alertmanager",
                    kind="alertmanager",
                    alertmanager_url=alertmanager.url,
                    created_at=utc_now(),
                )
            )
        hasty = {"reconciliation_seconds": 5.0, "reconciliation_grace_seconds": 0.0}
        workers = [start_worker(**hasty), start_worker(**hasty)]
        assert wait_until(lambda: is_healed(database), 60)
        assert site.is_healthy("shop")
        with database.begin() as session:
            assert session.scalars(select(Run.outcome)).all() == ["healed"]
        figures = "".join(
            urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/metrics", timeout=3).read().decode()
            for worker in workers
        )
    assert figures.count('ims_source_alerts_reconciled_total{done="opened"} 1.0') == 1
    assert 'ims_source_stale{source="alertmanager"} 0.0' in figures
    assert "ims_retention_last_run_timestamp_seconds 1." in figures


def is_healed(database: Database) -> bool:
    with database.begin() as session:
        return [incident.healed_at is not None for incident in session.scalars(select(Incident))] == [True]
