"""Retention removes old incidents as a whole and keeps all others as a whole; no single event can be removed."""

import threading
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.errors import CheckViolation, InsufficientPrivilege
from sqlalchemy import column, delete, func, select, table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ims.alerts.ingest import ingest
from ims.core.db.engine import Database
from ims.policy.queries import NO_POLICY
from ims.reports.rollups import roll_up
from ims.reports.statistics import count_by_status
from ims.reports.summary import Chosen, Metric, read_summary
from ims.retention.queries import Kept, expected
from ims.retention.removal import remove_incidents, steps
from tests.support.notifications import NOW, add_source, at, notification

DAY = 86_400.0
OLD = NOW - timedelta(days=90)
OLDEST_AUDIT = NOW - timedelta(days=365)
COUNTED = (
    "incident",
    "timeline_event",
    "episode",
    "run",
    "run_event",
    "decision",
    "verification",
    "alert",
    "dead_letter",
    "correlation",
)


class History:
    """Incidents of the past. Times are days from `NOW`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.begin() as session:
            add_source(session)
            self._run(
                session,
                "INSERT INTO policy_snapshot (digest, archive, policy, inventory, created_at)"
                " VALUES ('d', '', '{}', 'inventory/local', now())",
            )

    @staticmethod
    def _run(session: Session, statement: str, **columns: Any) -> Any:
        return session.execute(text(statement), columns)

    def incident(self, name: str, opened: float, resolved: float | None = None, **more: Any) -> UUID:
        """An incident of one alert, with a run, its log and its verification, and a decision."""
        with self.database.begin() as session:
            ingest(session, [notification(name, starts=opened * DAY)], [], NO_POLICY, at(opened * DAY))
            if resolved is not None:
                ingest(session, [notification(name, ends=resolved * DAY)], [], NO_POLICY, at(resolved * DAY))
            row = self._run(
                session,
                "SELECT incident_id, episode.id FROM episode JOIN alert ON alert.id = alert_id"
                " WHERE name = :name ORDER BY episode.id DESC LIMIT 1",
                name=name,
            ).one()
            run = self._run(
                session,
                "INSERT INTO run (id, number, kind, status, incident_id, episode_id, rule, attempt, playbook, target,"
                " revision, spec, fence, queued_at, finished_at, ended_at, recap)"
                " VALUES (gen_random_uuid(), nextval('run_number_seq'), 'heal', :status, :incident, :episode, 'r', 1,"
                " 'p', :name, 'd', '{}', 1, :at, :at, :ended, '{}') RETURNING id",
                incident=row.incident_id, episode=row.id, name=name, at=at(opened * DAY),
                status=more.get("run", "failed"), ended=None if "run" in more else at(opened * DAY),
            ).scalar_one()  # fmt: skip
            for counter in range(3):
                self._run(
                    session,
                    "INSERT INTO run_event (run_id, counter, at, kind, stdout, data)"
                    " VALUES (:run, :counter, now(), 'x', '', '{}')",
                    run=run, counter=counter,
                )  # fmt: skip
            self._run(
                session,
                "INSERT INTO verification (run_id, status, started_at) VALUES (:run, 'failed', now())",
                run=run,
            )
            self._run(
                session,
                "INSERT INTO decision (incident_id, episode_id, rule, attempt, revision, outcome, reason, message,"
                " facts, answers, run_id, first_at, last_at, count)"
                " VALUES (:incident, :episode, 'r', 1, 'd', 'allowed', 'allowed', '', '{}', '[]', :run, now(), now(),"
                " 1)",
                incident=row.incident_id, episode=row.id, run=run,
            )  # fmt: skip
            return UUID(str(row.incident_id))

    def counts(self) -> dict[str, int]:
        with self.database.begin() as session:
            counts = {name: select(func.count()).select_from(table(name)) for name in COUNTED}
            return {name: session.scalars(count).one() for name, count in counts.items()}

    def remove(self, before: datetime = OLD) -> dict[str, int]:
        total: dict[str, int] = {}
        for removed in steps(self.database, Kept(before, OLDEST_AUDIT)):
            for kind, count in removed.items():
                total[kind] = total.get(kind, 0) + count
        return total


@pytest.fixture
def history(database: Database) -> History:
    return History(database)


def refused(session: Session, statement: str, **columns: Any) -> BaseException | None:
    """The database's own error for a statement."""
    with pytest.raises(DBAPIError) as raised:
        session.execute(text(statement), columns)
    return raised.value.orig


def test_an_old_incident_goes_with_all_that_is_its_and_a_young_one_keeps_all(history: History) -> None:
    history.incident("Young", -80, -79.9)
    young = history.counts()
    for number in range(25):
        history.incident(f"Old{number}", -100, -95)
    with history.database.begin() as session:
        assert expected(session, Kept(OLD, OLDEST_AUDIT)) == {
            "incidents": 25, "runs": 25, "alerts": 25, "dead_letters": 0, "tokens": 0,
            "audit_entries": 0,
        }  # fmt: skip
    removed = history.remove()
    assert (removed["incidents"], removed["runs"], removed["episodes"], removed["alerts"]) == (25, 25, 25, 25)
    assert history.counts() == young
    assert history.remove() == {"alerts": 0}


def test_what_is_not_over_stays_however_old_it_is(history: History) -> None:
    history.incident("Unresolved", -400)
    by_hand = history.incident("ResolvedByHand", -400)
    history.incident("StillRunning", -400, -399, run="running")
    with history.database.begin() as session:
        # A person resolved it, but its alert still fires.
        session.execute(
            text("UPDATE incident SET status = 'resolved', resolved_at = :at WHERE id = :id"),
            {"at": at(-399 * DAY), "id": by_hand},
        )
    before = history.counts()
    assert history.remove() == {"alerts": 0}
    assert history.counts() == before


def test_an_incident_whose_timeline_went_on_stays(history: History) -> None:
    noted = history.incident("Noted", -100, -95)
    with history.database.begin() as session:
        session.execute(
            text(
                "INSERT INTO timeline_event (incident_id, seq, at, kind, actor_kind, actor, data)"
                " VALUES (:id, 99, :at, 'note', 'person', 'alice', '{}')"
            ),
            {"id": noted, "at": at(-30 * DAY)},
        )
    assert "incidents" not in history.remove()


def test_an_alert_that_fired_again_stays_and_so_does_the_later_incident(history: History) -> None:
    first = history.incident("Again", -100, -95)
    second = history.incident("Again", -10, -9)
    with history.database.begin() as session:
        session.execute(
            text("UPDATE incident SET recurrence_of = :first WHERE id = :second"), {"first": first, "second": second}
        )
    assert history.remove()["incidents"] == 1
    counts = history.counts()
    assert (counts["incident"], counts["alert"], counts["episode"], counts["correlation"]) == (1, 1, 1, 1)
    # Its key's incident is the later one: what fires again in a moment is its recurrence.
    with history.database.begin() as session:
        assert session.scalar(text("SELECT incident_id FROM correlation")) == second


def test_a_key_whose_incident_is_gone_begins_anew(history: History) -> None:
    history.incident("Again", -100, -95)
    history.remove()
    assert history.counts()["correlation"] == 0
    history.incident("Again", 0)
    assert history.counts()["incident"] == 1


def test_a_step_is_small_and_skips_locked_incidents(history: History) -> None:
    ids = [history.incident(f"Old{number}", -100, -95) for number in range(5)]
    with history.database.begin() as other:
        other.execute(text("SELECT 1 FROM incident WHERE id = :id FOR UPDATE"), {"id": ids[0]})
        with history.database.begin() as session:
            assert remove_incidents(session, OLD, 3)["incidents"] == 3
        with history.database.begin() as session:
            assert remove_incidents(session, OLD, 3)["incidents"] == 1
        with history.database.begin() as session:
            assert remove_incidents(session, OLD, 3) == {}
    assert history.remove()["incidents"] == 1


def test_old_dead_letters_and_ended_tokens_go(history: History) -> None:
    with history.database.begin() as session:
        for days in (-100, -10):
            session.execute(
                text(
                    "INSERT INTO dead_letter (source, reason, body, details, received_at)"
                    " VALUES ('alertmanager', 'wrong_status', '{}', '{}', :at)"
                ),
                {"at": at(days * DAY)},
            )
            session.execute(
                text(
                    "INSERT INTO api_token (hash, source, scopes, created_at, expires_at)"
                    " VALUES (decode(:hash, 'hex'), 'alertmanager', '{}', now(), :at)"
                ),
                {"hash": f"{-days:08d}", "at": at(days * DAY)},
            )
    removed = history.remove()
    assert (removed["dead_letters"], removed["tokens"]) == (1, 1)
    assert history.counts()["dead_letter"] == 1


def test_the_programs_cannot_remove_a_single_event_by_it(history: History) -> None:
    incident = history.incident("Old", -100, -95)
    events = history.counts()["timeline_event"]
    with history.database.begin() as session:
        inner = session.begin_nested()
        assert isinstance(refused(session, "DELETE FROM timeline_event WHERE seq = 1"), InsufficientPrivilege)
        inner.rollback()
        # Its runs and episodes are still there: it goes as a whole or not at all.
        inner = session.begin_nested()
        refused(session, "SELECT remove_old_incidents(ARRAY[CAST(:id AS uuid)], :before)", id=incident, before=OLD)
        inner.rollback()
    assert history.counts()["timeline_event"] == events


@pytest.mark.parametrize(
    "lie",
    [
        "UPDATE incident SET status = 'resolved', resolved_at = '2000-01-01' WHERE id = :id",
        "UPDATE incident SET status = 'resolved', resolved_at = '2000-01-01', opened_at = '2000-01-01', last_seq = 0,"
        " updated_at = '2000-01-01' WHERE id = :id",
    ],
)
def test_no_false_column_of_an_incident_makes_a_young_timeline_removable(history: History, lie: str) -> None:
    incident = history.incident("Young", -3)
    with history.database.begin() as session:
        session.execute(text(lie), {"id": incident})
        for name in ("decision", "run", "episode"):
            session.execute(delete(table(name, column("incident_id"))).where(column("incident_id") == incident))
        error = refused(
            session, "SELECT remove_old_incidents(ARRAY[CAST(:id AS uuid)], :before)", id=incident, before=OLD
        )
        assert isinstance(error, CheckViolation)


@pytest.mark.parametrize("before", ["now()", "now() - interval '6 days'", "'infinity'", "NULL"])
def test_nothing_younger_than_a_week_can_be_named(session: Session, before: str) -> None:
    error = refused(session, f"SELECT remove_old_incidents(ARRAY[]::uuid[], {before})")
    assert isinstance(error, CheckViolation)


def test_temporary_tables_cannot_replace_ours(history: History) -> None:
    incident = history.incident("Young", -3)
    with history.database.begin() as session:
        session.execute(text("CREATE TEMPORARY TABLE timeline_event (incident_id uuid, at timestamptz)"))
        session.execute(text("CREATE TEMPORARY TABLE incident (id uuid, status text, resolved_at timestamptz)"))
        error = refused(
            session, "SELECT remove_old_incidents(ARRAY[CAST(:id AS uuid)], :before)", id=incident, before=OLD
        )
        assert isinstance(error, CheckViolation)


def test_only_the_programs_may_call_it(session: Session) -> None:
    row = session.execute(
        text("SELECT prosecdef, proconfig, proacl::text, pg_get_userbyid(proowner) AS owner FROM pg_proc"
             " WHERE proname = 'remove_old_incidents'")
    ).one()  # fmt: skip
    assert (row.prosecdef, row.owner, row.proconfig) == (True, "ims_owner", ["search_path=pg_catalog, pg_temp"])
    assert "ims_app=X" in row.proacl
    assert "{=X" not in row.proacl
    assert ",=X" not in row.proacl


def test_everything_that_refers_to_what_goes_is_known_to_retention(session: Session) -> None:
    """A new table that refers to an incident has to be removed with it: say so in ims/retention."""
    rows = session.execute(
        text(
            "SELECT conrelid::regclass::text AS referring, confrelid::regclass::text AS referred FROM pg_constraint"
            " WHERE contype = 'f' AND confdeltype <> 'c'"
            " AND confrelid IN ('incident'::regclass, 'episode'::regclass, 'run'::regclass, 'alert'::regclass)"
        )
    )
    assert {(row.referring, row.referred) for row in rows} == {
        ("incident", "incident"), ("timeline_event", "incident"), ("episode", "incident"), ("decision", "incident"),
        ("decision", "episode"), ("decision", "run"), ("run", "incident"), ("run", "episode"), ("episode", "alert"),
    }  # fmt: skip


def test_alerts_that_fire_again_while_their_past_goes_lose_nothing(history: History) -> None:
    names = [f"Again{number}" for number in range(60)]
    for name in names:
        history.incident(name, -100, -95)
    failures: list[BaseException] = []

    def fire() -> None:
        try:
            for name in names:
                for status in ({"ends": 1.0}, {}, {}):
                    with history.database.begin() as session:
                        ingest(session, [notification(name, starts=0, **status)], [], NO_POLICY, NOW)
        except BaseException as error:
            failures.append(error)
            raise

    firing = threading.Thread(target=fire)
    firing.start()
    while firing.is_alive():
        history.remove()
    firing.join()
    history.remove()
    assert failures == []
    counts = history.counts()
    assert (counts["incident"], counts["episode"], counts["alert"], counts["correlation"]) == (60, 60, 60, 60)
    with history.database.begin() as session:
        assert session.scalar(text("SELECT count(*) FROM episode WHERE closed_at IS NULL AND notifications = 2")) == 60
        assert session.scalar(text("SELECT min(opened_at) FROM incident")) == NOW


def test_what_went_is_still_in_the_statistics_of_its_days(history: History) -> None:
    history.incident("Old", -120, -119)
    history.incident("Young", -3, -2)
    assert history.remove()["incidents"] == 1
    with history.database.begin() as session:
        for _ in range(2):
            summary = read_summary(session, at(-130 * DAY), NOW + timedelta(days=1), Chosen(), NOW)
            assert summary.counts[Metric.RESOLVED] == 2
            assert count_by_status(session)["resolved"] == 1
            roll_up(session)
