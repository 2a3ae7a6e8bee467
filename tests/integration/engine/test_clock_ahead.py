"""A worker whose machine is years ahead writes the database's time, and times in the future are repaired."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ims.core.db.engine import Database, database_now
from ims.core.queue import Job, defer
from ims.engine.future_times import LONGEST_WAIT, heal_future_times
from ims.heartbeats.models import StoredHeartbeat
from ims.policy.models import PolicySnapshot
from ims.runs.models import Run, RunOutcome
from ims.sources.models import Source
from tests.integration.engine.conftest import MakeSite, StartWorker
from tests.integration.engine.test_worker import begin, settle
from tests.support.healing import fire, resolve
from tests.support.workers import wait_until

pytestmark = pytest.mark.parametrize("postgres", ["18"], indirect=True)

YEARS = timedelta(days=800)

_EVERY_TIME = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'
"""


def ahead_of_now(session: Session) -> set[str]:
    """Every column of every table, Procrastinate's too, that has a time more than an hour ahead."""
    found = set()
    for table, column in session.execute(text(_EVERY_TIME)).all():
        query = f'SELECT count(*) FROM "{table}" WHERE "{column}" > clock_timestamp() + interval \'1 hour\''  # noqa: S608
        if session.scalar(text(query)):
            found.add(f"{table}.{column}")
    return found


def test_a_worker_years_ahead_heals_writes_no_future_time_and_blocks_no_target(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    site = make_site(rule={"cooldown": 1})
    worker = start_worker(ahead=YEARS)
    episode, incident_id = begin(database)
    runs, incident = settle(database, episode, incident_id)
    assert [run.outcome for run in runs] == [RunOutcome.HEALED], worker.log.read_text()[-4000:]
    with database.begin() as session:
        assert ahead_of_now(session) == set()
        assert incident.healed_at is not None
        assert abs(incident.healed_at - database_now(session)) < timedelta(minutes=5)
        resolve(session, episode)
    # The same target again: the cooldown of a second is over soon, not in years.
    site.break_service("shop")
    again, second = begin(database)
    runs, _ = settle(database, again, second)
    assert [run.outcome for run in runs] == [RunOutcome.HEALED]


def test_a_worker_years_ahead_misses_no_heartbeat_and_makes_no_source_stale(
    make_site: MakeSite, start_worker: StartWorker, database: Database
) -> None:
    make_site(settings={"heartbeats": [{"name": "backup", "every": 3600}]})
    with database.begin() as session:
        now = database_now(session)
        resolve(session, fire(session, "shop")[0])
        session.add(StoredHeartbeat(name="backup", known_at=now, last_at=now))
        session.execute(text("UPDATE source SET last_notification_at = :now"), {"now": now})
    worker = start_worker(ahead=YEARS)
    ran = ("watch_heartbeats", "mark_stale_sources", "attend_to_approvals")
    reported = text("SELECT count(*) FROM worker WHERE modules ?& CAST(:ran AS text[])")

    def has_run() -> bool:
        with database.begin() as session:
            return bool(session.scalar(reported, {"ran": list(ran)}))

    assert wait_until(has_run, 40), worker.log.read_text()[-4000:]
    with database.begin() as session:
        assert session.scalars(select(StoredHeartbeat.missed_since)).all() == [None]
        assert set(session.scalars(select(Source.stale_since))) == {None}
        assert ahead_of_now(session) == set()


@pytest.fixture
def future(database: Database) -> datetime:
    """What a worker of an earlier version wrote whose clock was years ahead; gives the time that it believed."""
    with database.begin() as session:
        at = database_now(session) + YEARS
        _, incident_id = fire(session, "shop")
        session.add(PolicySnapshot(digest="r", archive=b"", policy={}, inventory="i", created_at=at))
        session.flush()
        run = Run(
            status="succeeded", rule="restart", attempt=1, playbook="p.yml", target="shop", revision="r", spec={},
            recap={}, queued_at=at, started_at=at, finished_at=at, ended_at=at, incident_id=incident_id,
        )  # fmt: skip
        session.add_all([run, StoredHeartbeat(name="backup", known_at=at, last_at=at)])
        session.execute(text("UPDATE source SET last_notification_at = :at, reconciliation_tried_at = :at"), {"at": at})
        session.execute(text("UPDATE episode SET opened_at = :at, last_notification_at = :at"), {"at": at})
        session.execute(text("UPDATE incident SET opened_at = :at, healed_at = :at"), {"at": at})
        defer(session, Job.DECIDE, after=YEARS, episode_ids=[1])
    return at


def test_times_in_the_future_are_healed(database: Database, future: datetime) -> None:
    with database.begin() as session:
        healed = heal_future_times(session, lease_seconds=30)
        assert healed.keys() == {"run", "heartbeat", "source", "episode", "incident", "job"}
    with database.begin() as session:
        now = database_now(session)
        run = session.scalars(select(Run)).one()
        assert run.ended_at is not None
        assert run.ended_at <= now
        # An incident's words and statistics go by its new day.
        assert "run.ended_at" not in ahead_of_now(session)
        waits = session.scalar(text("SELECT max(scheduled_at) FROM procrastinate_jobs"))
        assert waits <= now + LONGEST_WAIT
        assert heal_future_times(session, lease_seconds=30) == {}


def test_times_of_the_present_and_waits_of_minutes_are_left_alone(database: Database) -> None:
    with database.begin() as session:
        fire(session, "shop")
        defer(session, Job.DECIDE, after=timedelta(minutes=50), episode_ids=[1])
        session.execute(text("UPDATE episode SET opened_at = clock_timestamp() + interval '5 s'"))
        assert heal_future_times(session, lease_seconds=30) == {}


def test_a_pending_approval_expires_after_the_time_it_was_given(database: Database, future: datetime) -> None:
    with database.begin() as session:
        session.execute(
            text(
                "INSERT INTO approval (run_id, state, spec_digest, revision, requested_at, requested_by, expires_at)"
                " SELECT id, 'pending', 'd', 'r', :at, 'alice', :expires FROM run"
            ),
            {"at": future, "expires": future + timedelta(hours=1)},
        )
        assert heal_future_times(session, lease_seconds=30)["approval"] == 1
        left = session.scalar(text("SELECT expires_at - clock_timestamp() FROM approval"))
        assert timedelta(minutes=59) < left <= timedelta(hours=1)


def test_a_process_counts_on_from_the_time_of_the_database(database: Database) -> None:
    before = datetime.now(UTC)
    asked = database.now()
    with database.begin() as session:
        assert timedelta() <= database_now(session) - asked < timedelta(seconds=5)
    assert abs(database.last_known_now() - before) < timedelta(seconds=5)
