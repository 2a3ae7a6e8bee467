"""A stale source opens one incident, which resolves when the source sends data again."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from ims.alerts.ingest import ingest
from ims.alerts.stale_sources import Turned, stale_states, turn_stale
from ims.policy.queries import NO_POLICY
from ims.sources.models import Source
from tests.support.notifications import NOW, SOURCE, add_source, at, notification

PATIENCE = timedelta(seconds=300)


def look(session: Session, seconds: float, *, watching_since: float = 0) -> Turned:
    session.expire_all()
    return turn_stale(session, PATIENCE, at(seconds), watching_since=at(watching_since))


def incidents(session: Session) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in session.execute(text("SELECT title, severity, status FROM incident ORDER BY number"))]


def test_a_stale_source_opens_an_incident_once_and_new_data_resolves_it(session: Session) -> None:
    add_source(session, alertmanager_url="http://am.example:9093")
    assert look(session, 299) == Turned()
    assert look(session, 301).stale == ((SOURCE, NOW),)
    assert look(session, 400) == Turned()
    assert incidents(session) == [("Source alertmanager is stale", "high", "open")]
    assert session.get_one(Source, SOURCE).stale_since == NOW
    assert dict(stale_states(session)) == {SOURCE: True}
    ingest(session, [notification(starts=390)], [], NO_POLICY, at(500))
    assert look(session, 501).heard == ((SOURCE, at(500)),)
    assert session.get_one(Source, SOURCE).stale_since is None
    assert incidents(session)[0][2] == "resolved"


def test_no_source_becomes_stale_while_ims_is_down_but_a_stale_one_stays_so(session: Session) -> None:
    add_source(session, alertmanager_url="http://am.example:9093")
    assert look(session, 10_000, watching_since=9_990) == Turned()
    assert look(session, 10_291, watching_since=9_990).stale
    assert look(session, 20_000, watching_since=19_990) == Turned()
    assert session.get_one(Source, SOURCE).stale_since == NOW


def test_an_answer_of_its_alertmanager_counts_as_data(session: Session) -> None:
    add_source(session, alertmanager_url="http://am.example:9093")
    session.get_one(Source, SOURCE).reconciled_at = at(200)
    session.flush()
    assert look(session, 499) == Turned()
    assert look(session, 501).stale


def test_a_source_that_cannot_be_polled_is_stale_only_if_configured(session: Session) -> None:
    add_source(session, "quiet")
    assert look(session, 1e6) == Turned()
    session.get_one(Source, "quiet").stale_after = 60
    session.flush()
    assert look(session, 1e6).stale == (("quiet", NOW),)


def test_zero_seconds_mean_never_and_a_disabled_source_is_not_missed(session: Session) -> None:
    for name in ("never", "disabled"):
        add_source(session, name, alertmanager_url="http://am.example:9093")
    session.get_one(Source, "never").stale_after = 0
    session.flush()
    assert look(session, 1000).stale == (("disabled", NOW),)
    session.get_one(Source, "disabled").disabled_at = at(1001)
    session.flush()
    assert look(session, 1002).heard == (("disabled", NOW),)


def test_the_source_of_ims_itself_is_never_stale(session: Session) -> None:
    add_source(session, alertmanager_url="http://am.example:9093")
    look(session, 301)
    assert look(session, 1e7) == Turned()
    assert dict(stale_states(session)) == {SOURCE: True}
