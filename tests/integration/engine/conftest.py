"""A site, and workers that heal it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ims.core.db.engine import Database
from ims.core.settings import Settings
from tests.support.healing import Site
from tests.support.workers import WorkerProcess

MakeSite = Callable[..., Site]
StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def make_site(database: Database, tmp_path: Path) -> Iterator[MakeSite]:
    """Makes a site whose policy is active; it stops answering after the test."""
    sites: list[Site] = []

    def make(*services: str, **more: Any) -> Site:
        directory = tmp_path / "site"
        directory.mkdir()
        site = Site(directory, services or ("shop",), **more)
        sites.append(site)
        site.start()
        site.activate(database)
        return site

    yield make
    for site in sites:
        site.stop()


@pytest.fixture
def start_worker(settings: Settings, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts real workers with these settings; they are stopped after the test, before the database is emptied."""
    workers: list[WorkerProcess] = []

    def start(ahead: timedelta = timedelta(), **more: Any) -> WorkerProcess:
        state = tmp_path / "state"
        state.mkdir(exist_ok=True)
        # Without warm runners unless a test is about them: packing modules for each worker takes a second.
        own = settings.model_copy(update={"state_dir": state, "warm_runners": 0, **more})
        worker = WorkerProcess(own, tmp_path, f"worker-{len(workers)}", ahead=ahead)
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        worker.stop()
