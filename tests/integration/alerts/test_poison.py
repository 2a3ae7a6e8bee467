"""One poisoned alert among good ones, wherever it stands: the good ones are taken."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from ims.alerts.episodes import Result
from ims.alerts.ingest import ingest
from ims.alerts.notifications import Parsed
from ims.alerts.parsers import alertmanager
from ims.core.db.engine import Database
from ims.policy.queries import NO_POLICY
from tests.support.notifications import NOW, SOURCE, add_source, alertmanager_alert, alertmanager_body, notification
from webhook.committer import Committer, Request

GOOD = 99
POISONS: tuple[Any, ...] = (
    None,
    {"status": "firing", "labels": {"alertname": ["no", "text"]}},
    {"status": "burning", "labels": {}},
    {"status": "firing", "labels": {f"label-{number}": "" for number in range(300)}},
)


def test_in_every_place_the_other_99_are_taken(session: Session) -> None:
    add_source(session)
    good = [alertmanager_alert(f"Good{number}") for number in range(GOOD)]
    for place in range(GOOD + 1):
        poison = POISONS[place % len(POISONS)]
        parsed = alertmanager.parse(alertmanager_body(*good[:place], poison, *good[place:]), SOURCE, NOW)
        with session.begin_nested() as savepoint:
            outcome = ingest(session, parsed.notifications, parsed.rejected, NO_POLICY, NOW)
            rejected = session.scalars(text("SELECT details ->> 'place' FROM dead_letter")).all()
            assert outcome.results == (Result.OPENED,) * GOOD
            assert session.scalar(text("SELECT count(*) FROM episode WHERE closed_at IS NULL")) == GOOD
            assert rejected == [str(place)]
            savepoint.rollback()


@pytest.mark.parametrize("place", [0, 49, 99])
def test_what_only_the_database_refuses_hurts_nobody_either(database: Database, place: int) -> None:
    """No sender gets this far: it is what a fault of a reader would do."""
    with database.begin() as session:
        add_source(session)
    notifications = [notification(f"Good{number}") for number in range(GOOD)]
    notifications.insert(place, notification("Poison", summary="\0"))
    request = Request(SOURCE, Parsed(tuple(notifications), (), places=tuple(range(GOOD + 1))))
    neighbour = Request(SOURCE, Parsed((notification("Neighbour"),), (), places=(0,)))
    committer = Committer(database)
    committer.commit(request)
    committer.commit(neighbour)
    assert request.results.count(Result.OPENED) == GOOD
    assert request.results[place] is Result.REJECTED
    with database.begin() as session:
        assert session.scalar(text("SELECT count(*) FROM alert")) == GOOD + 1
        assert session.scalars(text("SELECT reason FROM dead_letter")).all() == ["not_storable"]
