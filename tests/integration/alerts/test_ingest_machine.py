"""Notifications duplicated, reordered, with a moved startsAt, resolved first and late: the database against a model."""

import os
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from ims.alerts.ingest import ingest
from ims.alerts.notifications import AlertNotification
from ims.core.db.engine import app_url
from ims.core.settings import Settings
from tests.integration.alerts.model import WORST_FIRST, Model, ModelIncident, Said
from tests.support.notifications import NOW, add_source, notification, policy

EXAMPLES = int(os.environ.get("IMS_TEST_EXAMPLES", "8"))

# (alert name, service, severity label): several alerts of a service, several severities, and one of no service.
ALERTS = (
    ("ServiceDown", "checkout", "critical"),
    ("SlowAnswers", "checkout", "critical"),
    ("SlowAnswers", "checkout", "warning"),
    ("ServiceDown", "search", "info"),
    ("DiskFull", "nobody-knows", "warning"),
    ("DiskFull", "nobody-knows", "critical"),
)
SEVERITIES = {"critical": "critical", "warning": "medium", "info": "low"}


class Notifications(RuleBasedStateMachine):
    """Senders say things, in any order and number; people resolve incidents; time passes."""

    settings: Settings

    def __init__(self) -> None:
        super().__init__()
        self.engine = create_engine(app_url(self.settings))
        self.connection = self.engine.connect()
        self.transaction = self.connection.begin()
        self.session = Session(self.connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        add_source(self.session)
        self.now = NOW
        self.said: list[tuple[AlertNotification, Said]] = []
        self.ids: dict[UUID, ModelIncident] = {}

    @initialize(severity_joins=st.booleans(), resolves=st.booleans())
    def choose_the_policy(self, severity_joins: bool, resolves: bool) -> None:
        self.policy = policy(severity_joins=severity_joins, auto_resolve="immediately" if resolves else "never")
        self.model = Model(severity_joins, resolves)

    def teardown(self) -> None:
        self.session.close()
        self.transaction.rollback()
        self.connection.close()
        self.engine.dispose()

    def say(
        self, alert: tuple[str, str, str], starts: datetime | None, ends: datetime | None
    ) -> tuple[AlertNotification, Said]:
        name, service, severity = alert
        after = lambda time: None if time is None else (time - NOW).total_seconds()  # noqa: E731
        heard = notification(name, starts=after(starts), ends=after(ends), service=service, severity=severity)
        known = service if service in self.policy.services else None
        said = Said(heard.fingerprint, known, name, SEVERITIES[severity], ends is None, starts, ends)
        self.said.append((heard, said))
        return heard, said

    def hear(self, *batch: tuple[AlertNotification, Said]) -> None:
        outcome = ingest(self.session, [heard for heard, _ in batch], [], self.policy, self.now)
        assert [*outcome.results] == self.model.hear([said for _, said in batch], self.now)

    @rule(alert=st.sampled_from(ALERTS), began=st.integers(0, 3))
    def fires(self, alert: tuple[str, str, str], began: int) -> None:
        self.hear(self.say(alert, self.now - timedelta(seconds=began), None))

    @rule(alert=st.sampled_from(ALERTS), ended=st.integers(0, 3))
    def resolves(self, alert: tuple[str, str, str], ended: int) -> None:
        self.hear(self.say(alert, self.now - timedelta(seconds=5), self.now - timedelta(seconds=ended)))

    @rule(alert=st.sampled_from(ALERTS), is_firing=st.booleans())
    def speaks_without_times(self, alert: tuple[str, str, str], is_firing: bool) -> None:
        heard, said = self.say(alert, None, None if is_firing else self.now)
        self.hear((heard, said))

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def repeats_old_notifications_in_any_order(self, data: st.DataObject) -> None:
        self.hear(*data.draw(st.lists(st.sampled_from(self.said), min_size=1, max_size=6)))

    @rule(data=st.data(), alerts=st.lists(st.sampled_from(ALERTS), min_size=2, max_size=8))
    def sends_a_batch(self, data: st.DataObject, alerts: list[tuple[str, str, str]]) -> None:
        seconds = st.integers(-3, 0).map(lambda second: self.now + timedelta(seconds=second))
        self.hear(*(self.say(one, data.draw(seconds), data.draw(st.none() | seconds)) for one in alerts))

    @rule(seconds=st.sampled_from((1, 2, 200, 400)))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: any(one.status != "resolved" for one in self.model.incidents))
    @rule(data=st.data())
    def a_person_resolves(self, data: st.DataObject) -> None:
        id_, incident = self.unresolved(data)
        self.session.execute(
            text("UPDATE incident SET status = 'resolved', resolved_at = :now WHERE id = :id"),
            {"id": id_, "now": self.now},
        )
        incident.status, incident.resolved_at = "resolved", self.now

    @precondition(lambda self: any(one.status != "resolved" for one in self.model.incidents))
    @rule(data=st.data(), severity=st.sampled_from(WORST_FIRST))
    def a_person_changes_the_severity(self, data: st.DataObject, severity: str) -> None:
        id_, incident = self.unresolved(data)
        self.session.execute(text("UPDATE incident SET severity = :to WHERE id = :id"), {"id": id_, "to": severity})
        incident.severity = severity

    def unresolved(self, data: st.DataObject) -> tuple[UUID, ModelIncident]:
        chosen = [(id_, one) for id_, one in self.ids.items() if one.status != "resolved"]
        return data.draw(st.sampled_from(range(len(chosen))).map(chosen.__getitem__))

    @invariant()
    def episodes_are_those_of_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        self._name_incidents()
        rows = self.session.execute(
            text(
                "SELECT fingerprint, incident_id, sender_starts, notifications, closed_at IS NULL AS is_open"
                " FROM episode JOIN alert ON alert.id = alert_id ORDER BY episode.id"
            )
        )
        found = [
            (row.fingerprint, self.ids[row.incident_id], row.sender_starts, row.notifications, row.is_open)
            for row in rows
        ]
        assert found == [
            (one.alert, one.incident, one.starts[-16:], one.notifications, one.is_open) for one in self.model.episodes
        ]

    @invariant()
    def incidents_and_timelines_are_those_of_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        self._name_incidents()
        rows = self._incidents()
        assert [row.number - rows[0].number for row in rows] == list(range(len(rows))), "numbers have no gaps"
        for row in rows:
            expected = self.ids[row.id]
            recurrence = self.ids[row.recurrence_of] if row.recurrence_of else None
            assert (row.severity, row.status, row.resolved_at) == (
                expected.severity, expected.status, expected.resolved_at,
            )  # fmt: skip
            assert recurrence is expected.recurrence_of
        assert self._events() == {id_: expected.events for id_, expected in self.ids.items()}

    @invariant()
    def an_incident_in_which_something_fires_has_the_words_of_an_alert_that_fires(self) -> None:
        stale = self.session.scalar(
            text(
                """
                SELECT count(*) FROM incident WHERE status <> 'resolved'
                AND EXISTS (SELECT FROM episode WHERE incident_id = incident.id AND closed_at IS NULL)
                AND NOT EXISTS (SELECT FROM episode JOIN alert ON alert.id = alert_id WHERE incident_id = incident.id
                    AND closed_at IS NULL AND alert_id = lead_alert_id AND alert.labels = incident.labels)"""
            )
        )
        assert stale == 0

    @invariant()
    def there_is_one_decide_job_for_a_batch_that_opened_something(self) -> None:
        if hasattr(self, "model"):
            jobs = self.session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'decide'"))
            assert jobs == self.model.decides

    def _name_incidents(self) -> None:
        """Incidents are numbered in the order in which the model made them."""
        rows = self._incidents()
        assert len(rows) == len(self.model.incidents)
        self.ids = {row.id: incident for row, incident in zip(rows, self.model.incidents, strict=True)}

    def _incidents(self) -> list[Any]:
        return list(
            self.session.execute(
                text("SELECT id, number, severity, status, resolved_at, recurrence_of FROM incident ORDER BY number")
            )
        )

    def _events(self) -> dict[UUID, Counter[str]]:
        rows = self.session.execute(
            text(
                "SELECT incident_id, kind, count(*) AS n, min(seq) AS first, max(seq) AS last"
                " FROM timeline_event GROUP BY 1, 2"
            )
        ).all()
        events: dict[UUID, Counter[str]] = {id_: Counter() for id_ in self.ids}
        for row in rows:
            events[row.incident_id][row.kind] = row.n
        for id_, counted in events.items():
            assert max(row.last for row in rows if row.incident_id == id_) == counted.total(), "events have no gaps"
            # A title that follows what is open: which, the invariant below says.
            counted.pop("edited", None)
        return events


@pytest.mark.timeout(400)
def test_the_database_agrees_with_the_model_whatever_senders_say(settings: Settings) -> None:
    class OnThisServer(Notifications):
        pass

    OnThisServer.settings = settings
    case = OnThisServer.TestCase
    case.settings = hypothesis_settings(
        max_examples=EXAMPLES,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
        print_blob=True,
    )
    case("runTest").runTest()


@pytest.fixture(autouse=True)
def _no_leftovers(database: object) -> None:
    """Sequences move although every example is rolled back: empty the database after the test."""
