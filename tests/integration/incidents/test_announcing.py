"""Whoever must hear of a change of an incident does: one job in the transaction of the change."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from ims.alerts.ingest import ingest
from ims.core.actors import SYSTEM, Actor, ActorKind
from ims.core.db.engine import Database
from ims.core.queue import Job, WorkerContext
from ims.core.settings import Settings
from ims.engine.jobs.incidents import tasks
from ims.engine.subscribers import IncidentChange, Subscriber
from ims.incidents import usecases
from ims.incidents.inputs import NewIncident
from ims.incidents.models import EventKind
from ims.incidents.transitions import NewEvent, append
from ims.policy.queries import NO_POLICY
from tests.support.context import by
from tests.support.notifications import NOW, add_source, notification

ALICE = Actor(ActorKind.PERSON, "alice")
LATER = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)


def announced(session: Session) -> list[list[list[Any]]]:
    """The changes of each job that waits to be handed over, in the order they were written."""
    session.flush()
    query = "SELECT args FROM procrastinate_jobs WHERE task_name = :name ORDER BY id"
    return [args["changes"] for args in session.scalars(text(query), {"name": Job.INCIDENTS_CHANGED.value})]


def opened(session: Session) -> UUID:
    given = NewIncident(title="checkout is down", severity="high")
    return usecases.open_incident(by(session, ALICE, NOW), given).incident.id


def test_a_change_is_one_job_that_names_incident_event_and_kind(session: Session) -> None:
    own_id = opened(session)
    usecases.acknowledge(by(session, ALICE, LATER), str(own_id))
    assert announced(session) == [
        [[str(own_id), 1, "incident_opened"]],
        [[str(own_id), 2, "acknowledged"]],
    ]


def test_a_batch_of_alerts_is_one_job(session: Session) -> None:
    add_source(session)
    ingest(session, [notification(f"Down{place}") for place in range(5)], [], NO_POLICY, NOW)
    (changes,) = announced(session)
    assert sorted(kind for _, _, kind in changes) == ["incident_opened"] * 5
    assert len({incident for incident, _, _ in changes}) == 5


def test_what_only_goes_on_announces_nothing(session: Session) -> None:
    own_id = opened(session)
    before = len(announced(session))
    append(session, [NewEvent(own_id, EventKind.ALERT_FIRING, SYSTEM, {"alert": "Down"})], LATER)
    assert len(announced(session)) == before


def test_what_is_rolled_back_is_announced_to_nobody(database: Database) -> None:
    with database.begin() as session:
        opened(session)
        assert announced(session)
        session.rollback()
    with database.begin() as session:
        assert announced(session) == []


HandOver = Callable[..., None]


@pytest.fixture
def hand_over(settings: Settings, database: Database) -> Iterator[HandOver]:
    """Does the job as a worker does, for the given subscribers."""
    with ThreadPoolExecutor(2) as threads:
        worker = WorkerContext(settings, database, "worker-of-the-test", threads)

        def call(subscribers: Sequence[Subscriber], **arguments: Any) -> None:
            (task,) = tasks(worker, subscribers).tasks.values()
            asyncio.run(task.func(**arguments))

        yield call


def test_each_subscriber_hears_of_the_kinds_it_wants(hand_over: HandOver) -> None:
    heard: dict[str, list[IncidentChange]] = {"all": [], "notes": []}

    async def hear_all(_worker: WorkerContext, changes: Sequence[IncidentChange]) -> None:
        heard["all"] += changes

    async def hear_notes(_worker: WorkerContext, changes: Sequence[IncidentChange]) -> None:
        heard["notes"] += changes

    own_id = uuid4()
    changes = [[str(own_id), 1, "incident_opened"], [str(own_id), 2, "note"]]
    subscribers = (
        Subscriber("all", hear_all),
        Subscriber("notes", hear_notes, frozenset({EventKind.NOTE})),
    )
    hand_over(subscribers, changes=changes)
    assert [change.seq for change in heard["all"]] == [1, 2]
    assert heard["notes"] == [IncidentChange(own_id, 2, EventKind.NOTE)]


def test_one_that_fails_is_called_again_by_itself_and_keeps_no_other_from_hearing(
    hand_over: HandOver, database: Database
) -> None:
    heard: list[str] = []

    async def fail(_worker: WorkerContext, _changes: Sequence[IncidentChange]) -> None:
        heard.append("failing")
        raise OSError("the mail server is away")

    async def hear(_worker: WorkerContext, _changes: Sequence[IncidentChange]) -> None:
        heard.append("hearing")

    changes = [[str(uuid4()), 1, "incident_opened"]]
    subscribers = (Subscriber("failing", fail), Subscriber("hearing", hear))
    hand_over(subscribers, changes=changes)
    assert heard == ["failing", "hearing"]
    with database.begin() as session:
        query = text("SELECT args FROM procrastinate_jobs WHERE task_name = :name")
        (again,) = session.scalars(query, {"name": Job.INCIDENTS_CHANGED.value})
    assert again == {"changes": changes, "subscriber": "failing"}
    # Repeated by the queue until it succeeds, and for it alone.
    with pytest.raises(OSError, match="mail server"):
        hand_over(subscribers, **again)
    assert heard == ["failing", "hearing", "failing"]


def test_a_subscriber_that_was_removed_since_is_passed_over(hand_over: HandOver) -> None:
    hand_over((), changes=[[str(uuid4()), 1, "note"]], subscriber="gone")
