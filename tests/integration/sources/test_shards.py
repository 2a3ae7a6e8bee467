"""Each source is polled by its own worker, and by any worker when that one does not."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from ims.alerts.reconciliation import claim_pollings
from ims.sources.models import Source
from tests.support.notifications import at

EVERY = timedelta(seconds=30)


@pytest.fixture
def sources(session: Session) -> Session:
    """Two sources that can be polled, and one that cannot."""
    for name, url in (("a", "http://127.0.0.1:1"), ("b", "http://127.0.0.1:1"), ("c", None)):
        session.add(Source(name=name, kind="alertmanager", alertmanager_url=url, created_at=at(0)))
    session.flush()
    return session


def claimed(session: Session, seconds: float, own: str) -> list[str]:
    return sorted(polling.source for polling in claim_pollings(session, EVERY, at(seconds), lambda name: name in own))


def test_a_source_is_asked_by_the_worker_that_owns_it(sources: Session) -> None:
    assert claimed(sources, 0, "a") == ["a"]
    assert claimed(sources, 1, "ab") == ["b"]
    assert claimed(sources, 29, "ab") == []
    assert claimed(sources, 31, "bc") == ["b"]


def test_a_source_whose_worker_does_not_ask_is_asked_by_another_one(sources: Session) -> None:
    assert claimed(sources, 0, "ab") == ["a", "b"]
    assert claimed(sources, 119, "b") == ["b"]
    assert claimed(sources, 120, "b") == ["a"]
