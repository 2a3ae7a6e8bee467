"""`ims retention run`, and the worker's engine module."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from ims.alerts.ingest import ingest
from ims.cli.main import main
from ims.core.db.engine import Database
from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.engine.modules import retention as module
from ims.policy.queries import NO_POLICY
from tests.support.notifications import add_source, notification


@pytest.fixture
def past(database: Database) -> Database:
    """Three incidents that ended 89, 91 and 92 days ago by the real clock."""
    with database.begin() as session:
        add_source(session)
        for days in (89, 91, 92):
            ended = datetime.now(UTC) - timedelta(days=days)
            name = f"Past{days}"
            ingest(session, [notification(name, starts=None)], [], NO_POLICY, ended - timedelta(hours=1))
            ingest(session, [notification(name, starts=None, ends=-1e9)], [], NO_POLICY, ended)
    return database


def incidents(database: Database) -> int:
    with database.begin() as session:
        return int(session.scalar(text("SELECT count(*) FROM incident")) or 0)


def run(*arguments: str) -> None:
    assert main(["admin", "retention", "run", *arguments]) == 0


def test_a_dry_run_counts_what_a_run_then_removes(
    past: Database, terminal: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--dry-run", "--json")
    removed = json.loads(capsys.readouterr().out)
    assert (removed["dry_run"], removed["incidents"], removed["alerts"]) == (True, 2, 2)
    assert incidents(past) == 3
    run("--json")
    removed = json.loads(capsys.readouterr().out)
    assert (removed["dry_run"], removed["incidents"], removed["alerts"]) == (False, 2, 2)
    assert incidents(past) == 1
    run()
    assert "0 incidents" in capsys.readouterr().out


def test_a_worker_removes_it_and_counts_what_went(
    past: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)

    def removed() -> float:
        return REGISTRY.get_sample_value("ims_retention_removed_total", {"kind": "incidents"}) or 0

    before = removed()
    with ThreadPoolExecutor(2) as threads:
        asyncio.run(module.remove_old(WorkerContext(settings, past, "w", threads)))
    assert removed() - before == 2
    assert incidents(past) == 1
