"""A queued run in the database, for tests of what changes runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from ims.core.db.engine import Database
from ims.healing.decide import decide
from ims.runs.models import Run, Verification
from tests.support.healing import Site, fire, now


@dataclass
class Queued:
    """A queued run and what it belongs to."""

    run_id: UUID
    episode: int
    incident: UUID


@pytest.fixture
def queued(database: Database, tmp_path: Path) -> Iterator[Queued]:
    """A run that waits to be claimed; the jobs of its making are removed."""
    site = Site(tmp_path)
    site.start()
    site.activate_unread(database)
    with database.begin() as session:
        episode, incident = fire(session, "shop", decide=False)
        (decision,) = decide(session, [episode], now())
        assert decision.run_id is not None
        session.execute(text("DELETE FROM procrastinate_jobs"))
    yield Queued(decision.run_id, episode, incident)
    site.stop()


def run_row(database: Database, run_id: UUID) -> Run:
    """The run as it is in the database now."""
    with database.begin() as session:
        return session.get_one(Run, run_id)


def verification_row(database: Database, run_id: UUID) -> Verification:
    """The verification of the run as it is in the database now."""
    with database.begin() as session:
        return session.get_one(Verification, run_id)
