"""Signs of life come, are missed, and come again."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ims.alerts.models import Alert
from ims.core.db.engine import Database
from ims.core.queue import WorkerContext
from ims.core.settings import Settings
from ims.engine.modules.heartbeats import watch_heartbeats
from ims.heartbeats.models import StoredHeartbeat
from ims.heartbeats.usecases import (
    Checked,
    HeartbeatOfAnother,
    UnknownHeartbeat,
    check_heartbeats,
    is_heartbeat,
    take_heartbeat,
)
from ims.incidents.models import Incident
from ims.policy.heartbeats import Heartbeat
from ims.policy.schema import Policy
from tests.support.context import by_source
from tests.support.notifications import at, policy

BACKUP = Heartbeat(name="backup", every=60, grace=30, service="checkout", severity="critical")
FOREIGN = Heartbeat(name="foreign", every=60, source="elsewhere")


@pytest.fixture
def expect(monkeypatch: pytest.MonkeyPatch) -> list[Heartbeat]:
    """The heartbeats that the policy in force expects."""
    expected = [BACKUP]

    def in_force(_session: Session) -> Policy:
        return policy().model_copy(update={"heartbeats": tuple(expected)})

    monkeypatch.setattr("ims.heartbeats.usecases.policy_in_force", in_force)
    return expected


def check(session: Session, seconds: float, watching: float = 0) -> Checked:
    return check_heartbeats(session, at(watching), at(seconds))


def statuses(session: Session) -> list[str]:
    session.expire_all()
    return list(session.scalars(select(Incident.status).order_by(Incident.number)))


@pytest.mark.usefixtures("expect")
def test_a_missed_heartbeat_is_an_alert_and_a_returning_one_resolves_it(session: Session) -> None:
    take_heartbeat(by_source(session, "scripts", at(0)), "backup")
    assert check(session, 90) == Checked()
    assert check(session, 91).missed == ("backup",)
    assert check(session, 500) == Checked()
    alert = session.scalars(select(Alert)).one()
    assert (alert.source, alert.name, alert.service, alert.severity) == (
        "ims", "HeartbeatMissed", "checkout", "critical"
    )  # fmt: skip
    assert statuses(session) == ["open"]
    take_heartbeat(by_source(session, "scripts", at(501)), "backup")
    assert check(session, 502).returned == ("backup",)
    assert statuses(session) == ["resolved"]
    assert check(session, 580) == Checked()
    assert check(session, 600).missed == ("backup",)


@pytest.mark.usefixtures("expect")
def test_one_that_never_comes_is_missed_too(session: Session) -> None:
    assert check(session, 0) == Checked()
    assert check(session, 91).missed == ("backup",)


@pytest.mark.usefixtures("expect")
def test_what_could_not_come_while_ims_was_down_is_not_missed(session: Session) -> None:
    take_heartbeat(by_source(session, "scripts", at(0)), "backup")
    assert check(session, 1000, watching=999) == Checked()
    assert check(session, 1090, watching=999).missed == ("backup",)
    # A worker that starts now does not take missing heartbeats for a return.
    assert check(session, 1091, watching=1091) == Checked()


def test_one_that_is_expected_no_more_is_forgotten_and_its_alert_resolves(
    session: Session, expect: list[Heartbeat]
) -> None:
    check(session, 0)
    check(session, 91)
    expect.clear()
    assert check(session, 92).returned == ("backup",)
    assert session.scalars(select(StoredHeartbeat)).all() == []
    assert statuses(session) == ["resolved"]


def test_only_what_is_expected_is_taken_and_only_from_its_source(session: Session, expect: list[Heartbeat]) -> None:
    expect.append(FOREIGN)
    with pytest.raises(UnknownHeartbeat):
        take_heartbeat(by_source(session, "scripts", at(0)), "nobody")
    with pytest.raises(HeartbeatOfAnother):
        take_heartbeat(by_source(session, "scripts", at(0)), "foreign")
    take_heartbeat(by_source(session, "elsewhere", at(0)), "foreign")


@pytest.mark.usefixtures("expect")
def test_two_workers_tell_once(database: Database) -> None:
    with database.begin() as session:
        check(session, 0)
    with database.begin() as first:
        assert check(first, 91).missed == ("backup",)
        with database.begin() as second:
            # Whoever waited for a lock would wait for the first one here, for ever.
            second.execute(text("SET LOCAL lock_timeout = '5s'"))
            assert check(second, 91) == Checked()
    with database.begin() as session:
        assert check(session, 92) == Checked()


def test_a_resolved_watchdog_is_not_a_heartbeat() -> None:
    assert is_heartbeat({"status": "firing", "alerts": []})
    assert is_heartbeat(None)
    assert not is_heartbeat({"status": "resolved", "alerts": []})


@pytest.mark.usefixtures("expect")
def test_a_worker_begins_to_watch_when_it_starts(settings: Settings, database: Database) -> None:
    with database.begin() as session:
        take_heartbeat(by_source(session, "scripts", at(0)), "backup")
    with ThreadPoolExecutor(1) as threads:
        asyncio.run(watch_heartbeats(WorkerContext(settings, database, "a worker", threads)))
    with database.begin() as session:
        assert session.scalars(select(StoredHeartbeat.missed_since)).all() == [None]
