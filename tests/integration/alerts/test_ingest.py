"""Ingest on a real database: episodes, incidents, timelines, jobs."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from ims.alerts.episodes import MOST_STARTS, Result
from ims.alerts.ingest import Outcome, ingest, resolve_quiet
from ims.alerts.models import Alert, DeadLetter, Episode
from ims.alerts.notifications import AlertNotification, Rejected, RejectReason
from ims.alerts.statements import FIND_LEADS, LOCK_INCIDENTS
from ims.incidents.models import EventKind, Incident, TimelineEvent
from ims.incidents.transitions import RESOLVE_QUIET
from ims.sources.models import Source
from tests.support.notifications import NOW, SOURCE, add_source, at, notification, policy


@pytest.fixture
def sender(session: Session) -> Session:
    add_source(session)
    return session


def take(session: Session, *notifications: AlertNotification, now: datetime = NOW, **correlation: Any) -> Outcome:
    return ingest(session, notifications, [], policy(**correlation), now)


def incidents(session: Session) -> list[Incident]:
    session.expire_all()
    return list(session.scalars(select(Incident).order_by(Incident.number)))


def kinds(session: Session, incident: Incident) -> list[str]:
    return list(
        session.scalars(
            select(TimelineEvent.kind).where(TimelineEvent.incident_id == incident.id).order_by(TimelineEvent.seq)
        )
    )


def jobs(session: Session, task: str) -> list[dict[str, Any]]:
    rows = session.execute(
        text("SELECT args FROM procrastinate_jobs WHERE task_name = :task ORDER BY id"), {"task": task}
    )
    return [row.args for row in rows]


def test_a_first_notification_opens_an_incident_that_knows_its_service(sender: Session) -> None:
    outcome = take(
        sender, notification(annotations={"summary": "checkout is down", "description": "No answer on port 80."})
    )
    (incident,) = incidents(sender)
    episode = sender.scalars(select(Episode)).one()
    assert outcome.results == (Result.OPENED,)
    assert outcome.new_episodes == (episode.id,)
    assert (incident.title, incident.description) == ("checkout is down", "No answer on port 80.")
    assert (incident.service, incident.environment, incident.severity) == ("checkout", "production", "critical")
    assert (incident.assignee, incident.team, incident.runbook_url) == ("alice", "shop", "https://example.org/checkout")
    assert (incident.status, incident.opened_at, incident.last_seq) == ("open", NOW, 2)
    assert kinds(sender, incident) == [EventKind.INCIDENT_OPENED, EventKind.ALERT_FIRING]
    assert jobs(sender, "decide") == [{"episode_ids": [episode.id]}]
    assert sender.get_one(Source, SOURCE).last_notification_at == NOW


def test_a_repeat_writes_no_event_no_job_and_leaves_the_incident_as_it_is(sender: Session) -> None:
    take(sender, notification())
    (before,) = incidents(sender)
    row = sender.execute(text("SELECT xmin, ctid FROM incident")).one()
    outcome = take(sender, notification(), notification(), now=at(60))
    (after,) = incidents(sender)
    assert outcome.results == (Result.DUPLICATE, Result.DUPLICATE)
    assert sender.execute(text("SELECT xmin, ctid FROM incident")).one() == row
    assert len(kinds(sender, after)) == 2
    assert len(jobs(sender, "decide")) == 1
    assert before.version == after.version
    episode = sender.scalars(select(Episode)).one()
    assert (episode.notifications, episode.last_notification_at) == (3, at(60))


def test_a_later_starts_at_is_remembered_and_opens_nothing(sender: Session) -> None:
    take(sender, notification(starts=-10))
    outcome = take(sender, notification(starts=1), now=at(2))
    episode = sender.scalars(select(Episode)).one()
    assert outcome.results == (Result.EXTENDED,)
    assert episode.sender_starts == [at(-10), at(1)]
    assert len(incidents(sender)) == 1


def test_only_the_last_starts_are_remembered(sender: Session) -> None:
    take(sender, *(notification(starts=second) for second in range(MOST_STARTS + 4)))
    episode = sender.scalars(select(Episode)).one()
    assert episode.sender_starts == [at(second) for second in range(4, MOST_STARTS + 4)]


def test_the_resolve_of_the_last_alert_resolves_the_incident(sender: Session) -> None:
    take(sender, notification(), notification("SlowAnswers"))
    first = take(sender, notification(ends=5), now=at(5))
    assert (first.results, first.resolved_incidents) == ((Result.CLOSED,), ())
    last = take(sender, notification("SlowAnswers", ends=6), now=at(6))
    (incident,) = incidents(sender)
    assert last.resolved_incidents == (incident.id,)
    assert (incident.status, incident.resolved_at) == ("resolved", at(6))
    assert kinds(sender, incident) == [
        "incident_opened", "alert_firing", "alert_firing", "alert_resolved", "edited", "alert_resolved", "resolved",
    ]  # fmt: skip


def said(summary: str, description: str = "") -> dict[str, str]:
    return {"summary": summary, "description": description}


def test_title_and_labels_are_of_what_is_open(sender: Session) -> None:
    take(
        sender,
        notification("Slow", severity="warning", annotations=said("checkout is slow", "3 s")),
        notification("Queue", severity="warning", annotations=said("The queue is long")),
        notification("Down", severity="warning", annotations=said("checkout is down", "No answer")),
        severity_joins=False,
    )
    take(sender, notification("Slow", severity="warning", ends=5), now=at(5))
    (incident,) = incidents(sender)
    assert (incident.title, incident.labels["alertname"]) == ("The queue is long", "Queue")
    take(sender, notification("Queue", severity="warning", ends=6), now=at(6))
    (incident,) = incidents(sender)
    assert (incident.title, incident.description) == ("checkout is down", "No answer")
    changes = sender.scalars(
        select(TimelineEvent.data).where(TimelineEvent.kind == "edited").order_by(TimelineEvent.seq)
    ).all()
    assert [one["changes"]["title"]["to"] for one in changes] == ["The queue is long", "checkout is down"]


def test_the_worst_of_what_is_open_gives_the_title(sender: Session) -> None:
    take(
        sender,
        notification("A", service="", severity="warning", instance="a", rulename="one"),
        notification("A", service="", severity="info", instance="a", rulename="one", x="1"),
        notification("A", service="", severity="critical", instance="a", rulename="one", x="2"),
    )
    take(sender, notification("A", service="", severity="warning", instance="a", ends=5, rulename="one"))
    assert [one.labels["severity"] for one in incidents(sender)] == ["critical"]


def test_what_a_person_wrote_stays_while_the_labels_follow(sender: Session) -> None:
    take(sender, notification("Slow"), notification("Down"))
    (incident,) = incidents(sender)
    incident.title, incident.titled_by_person = "The shop is closed", True
    sender.flush()
    take(sender, notification("Slow", ends=5), now=at(5))
    (incident,) = incidents(sender)
    assert (incident.title, incident.labels["alertname"]) == ("The shop is closed", "Down")
    assert "edited" not in kinds(sender, incident)


def test_an_old_resolve_closes_nothing(sender: Session) -> None:
    take(sender, notification(starts=-100), notification(starts=-10))
    outcome = take(sender, notification(starts=-100, ends=-50), now=at(1))
    episode = sender.scalars(select(Episode)).one()
    assert outcome.results == (Result.LATE,)
    assert (episode.closed_at, episode.notifications) == (None, 3)


def test_a_late_duplicate_of_a_closed_episode_opens_nothing(sender: Session) -> None:
    take(sender, notification(starts=-10), notification(starts=-5))
    take(sender, notification(starts=-5, ends=1), now=at(1))
    outcome = take(sender, notification(starts=-10), notification(starts=-5), now=at(2))
    episode = sender.scalars(select(Episode)).one()
    assert outcome.results == (Result.LATE, Result.LATE)
    assert (episode.closed_at, episode.notifications) == (at(1), 5)
    assert incidents(sender)[0].status == "resolved"


def test_a_late_duplicate_of_two_closed_episodes_is_of_the_first(sender: Session) -> None:
    take(sender, notification(starts=-10), notification(ends=-9), notification(starts=-5))
    take(sender, notification(starts=-10), notification(ends=1), now=at(1))
    outcome = take(sender, notification(starts=-10), now=at(2))
    episodes = sender.scalars(select(Episode).order_by(Episode.id)).all()
    assert outcome.results == (Result.LATE,)
    assert [one.sender_starts for one in episodes] == [[at(-10)], [at(-5), at(-10)]]
    assert [one.notifications for one in episodes] == [3, 3]


def resolved_by_a_person(session: Session, seconds: float) -> None:
    session.execute(text("UPDATE incident SET status = 'resolved', resolved_at = :now"), {"now": at(seconds)})


def test_what_a_person_resolved_and_fires_anew_without_a_resolve_between_is_notified(sender: Session) -> None:
    take(sender, notification(starts=0))
    resolved_by_a_person(sender, 60)
    assert take(sender, notification(starts=0), now=at(14_400)).results == (Result.DUPLICATE,)
    again = take(sender, notification(starts=86_400), now=at(86_400))
    assert again.results == (Result.OPENED,)
    assert [one.status for one in incidents(sender)] == ["resolved", "open"]
    assert jobs(sender, "decide")[1:] == [{"episode_ids": list(again.new_episodes)}]
    # The end of the new one is the end of it.
    assert take(sender, notification(starts=86_400, ends=86_500), now=at(86_500)).results == (Result.CLOSED,)


def test_who_tells_no_times_is_heard_again_some_minutes_after_a_person_resolved_it(sender: Session) -> None:
    nightly = replace(notification(), starts_at=None)
    take(sender, nightly)
    assert take(sender, nightly, now=at(86_400)).results == (Result.DUPLICATE,)
    resolved_by_a_person(sender, 86_500)
    assert take(sender, nightly, now=at(86_600)).results == (Result.DUPLICATE,)
    assert take(sender, nightly, now=at(172_800)).results == (Result.OPENED,)
    assert [one.status for one in incidents(sender)] == ["resolved", "open"]


def test_a_resolve_that_comes_first_opens_nothing(sender: Session) -> None:
    outcome = take(sender, notification(ends=1))
    assert outcome.results == (Result.DUPLICATE,)
    assert incidents(sender) == []
    assert sender.scalars(select(Alert)).one().last_seen_at == NOW


def test_a_new_firing_soon_after_is_a_recurrence(sender: Session) -> None:
    take(sender, notification(starts=-10), notification(starts=-10, ends=0), now=at(0))
    take(sender, notification(starts=20), notification(starts=20, ends=30), now=at(299))
    take(sender, notification(starts=700), now=at(700))
    first, second, third = incidents(sender)
    assert [one.number for one in (first, second, third)] == [first.number, first.number + 1, first.number + 2]
    assert (second.recurrence_of, third.recurrence_of) == (first.id, None)


def test_firing_and_resolved_in_one_batch_leaves_the_whole_story(sender: Session) -> None:
    outcome = take(sender, notification(), notification(ends=1))
    (incident,) = incidents(sender)
    assert outcome.results == (Result.OPENED, Result.CLOSED)
    assert outcome.new_episodes == ()
    assert kinds(sender, incident) == ["incident_opened", "alert_firing", "alert_resolved", "resolved"]
    assert jobs(sender, "decide") == []


def test_one_alert_may_open_several_episodes_in_one_batch(sender: Session) -> None:
    outcome = take(
        sender,
        notification(starts=-9),
        notification(ends=-8),
        notification(starts=-7),
        notification(ends=-6),
        notification(starts=-5),
    )
    episodes = list(sender.scalars(select(Episode).order_by(Episode.id)))
    assert outcome.results == (Result.OPENED, Result.CLOSED) * 2 + (Result.OPENED,)
    assert [one.sender_starts for one in episodes] == [[at(-9)], [at(-7)], [at(-5)]]
    assert [one.closed_at for one in episodes] == [NOW, NOW, None]
    assert outcome.new_episodes == (episodes[2].id,)
    assert len(incidents(sender)) == 1


def test_a_worse_severity_raises_the_open_incident(sender: Session) -> None:
    take(sender, notification(severity="warning"))
    take(sender, notification(severity="critical"), now=at(1))
    (incident,) = incidents(sender)
    assert incident.severity == "critical"
    assert kinds(sender, incident) == ["incident_opened", "alert_firing", "severity_raised", "alert_firing"]
    take(sender, notification("Another", severity="warning"), now=at(2))
    assert len(incidents(sender)) == 1


def test_severities_stay_apart_when_the_policy_says_so(sender: Session) -> None:
    take(sender, notification(severity="warning"), notification(severity="critical"), severity_joins=False)
    assert [one.severity for one in incidents(sender)] == ["medium", "critical"]


def test_a_lesser_severity_is_an_incident_of_its_own(sender: Session) -> None:
    take(sender, notification(severity="critical"), notification(severity="warning"))
    assert [one.severity for one in incidents(sender)] == ["critical", "medium"]


def test_a_severity_that_a_person_lowered_is_not_raised_by_the_same_key(sender: Session) -> None:
    take(sender, notification())
    sender.execute(text("UPDATE incident SET severity = 'low'"))
    take(sender, notification("Another"), now=at(1))
    assert [one.severity for one in incidents(sender)] == ["low"]


def test_an_incident_that_a_person_made_is_not_joined(sender: Session) -> None:
    sender.add(
        Incident(
            number=10_000, title="Slow", service="checkout", environment="production", severity="low",
            opened_at=NOW, updated_at=NOW,
        )
    )  # fmt: skip
    sender.flush()
    take(sender, notification())
    assert len(incidents(sender)) == 2


def test_alerts_without_a_known_service_are_kept_together_by_name_and_place(sender: Session) -> None:
    take(
        sender,
        notification("DiskFull", service="", instance="n1:9100", device="sda"),
        notification("DiskFull", service="", instance="n1:9100", device="sdb"),
        notification("DiskFull", service="", instance="n2:9100", device="sda"),
        notification("DiskFull", service="unknown"),
        notification("Other", service=""),
    )
    assert [(one.title, one.service, one.environment) for one in incidents(sender)] == [
        ("DiskFull on n1:9100", None, "default"), ("DiskFull on n2:9100", None, "default"),
        ("DiskFull", None, "default"), ("Other", None, "default"),
    ]  # fmt: skip


def test_an_incident_that_nobody_resolves_stays_open(sender: Session) -> None:
    take(sender, notification(), notification(ends=1), auto_resolve="never")
    assert [one.status for one in incidents(sender)] == ["open"]


def test_an_incident_resolves_after_its_quiet_time(sender: Session) -> None:
    take(sender, notification(), notification(ends=1), auto_resolve={"quiet": 60.0})
    (incident,) = incidents(sender)
    assert incident.status == "open"
    assert jobs(sender, "settle_incident") == [{"incident_ids": [str(incident.id)]}]
    assert resolve_quiet(sender, [incident.id], 60, at(30)) == {}
    assert resolve_quiet(sender, [incident.id], 60, at(61)) == {incident.id: 61.0}
    assert resolve_quiet(sender, [incident.id], 60, at(62)) == {}
    (incident,) = incidents(sender)
    assert (incident.status, kinds(sender, incident)[-1]) == ("resolved", "resolved")


def test_dead_letters_are_kept_with_their_reason(sender: Session) -> None:
    ingest(sender, [], [Rejected(SOURCE, RejectReason.WRONG_LABELS, "labels: no", '{"labels": 1}', 3)], policy(), NOW)
    kept = sender.scalars(select(DeadLetter)).one()
    assert (kept.reason, kept.body, kept.details) == (
        "wrong_labels", '{"labels": 1}', {"message": "labels: no", "place": 3},
    )  # fmt: skip


@pytest.fixture
def counted(sender: Session) -> Iterator[list[str]]:
    executed: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        executed.append(statement)

    event.listen(sender.get_bind(), "before_cursor_execute", count)
    yield executed
    event.remove(sender.get_bind(), "before_cursor_execute", count)


def test_the_number_of_statements_does_not_depend_on_the_batch(sender: Session, counted: list[str]) -> None:
    def cost(count: int, **times: float) -> int:
        counted.clear()
        take(sender, *(notification(f"Alert{count}x{n}", service="", instance=str(n), **times) for n in range(count)))
        return len(counted)

    assert cost(2) == cost(300) <= 10
    assert cost(2) == cost(300) <= 4
    assert cost(2, ends=1) == cost(300, ends=1) <= 9


@pytest.mark.parametrize(
    "statement", [LOCK_INCIDENTS, FIND_LEADS, RESOLVE_QUIET], ids=["lock incidents", "find leads", "resolve quiet"]
)
def test_an_alert_of_a_storm_reads_only_a_few_of_its_open_episodes(sender: Session, statement: str) -> None:
    """Otherwise each alert of a storm costs more than the one before. Nothing has analyzed the tables yet."""
    take(sender, *(notification(instance=f"node-{number}") for number in range(1500)))
    (incident,) = incidents(sender)
    given = {"incidents": f'["{incident.id}"]', "keys": "[]", "services": "[]", "quiet": 300.0, "now": NOW}
    connection = sender.connection()
    (explained,) = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", given).scalars()
    read = [
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes(explained[0]["Plan"])
        if node.get("Relation Name") == "episode" or node.get("Index Name", "").endswith("episode_open")
    ]
    assert read
    assert sum(read) <= 3


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
