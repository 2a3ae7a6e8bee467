"""Reconciliation opens missed alerts and closes those that are over, and changes nothing else."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from ims.alerts.ingest import ingest
from ims.alerts.notifications import AlertNotification, labels_fingerprint
from ims.alerts.reconciliation import Polling, Reconciled, claim_pollings, finish_polling, reconcile
from ims.alerts.routing import Routing
from ims.alerts.snapshot import SETTLING, AlertmanagerInstance, Snapshot, take_snapshot
from ims.core.actors import SYSTEM
from ims.core.db.engine import Database
from ims.incidents.usecases import resolve
from ims.policy.queries import NO_POLICY
from ims.sources.models import Source
from ims.sources.usecases import change_source
from tests.support.alertmanager import in_groups
from tests.support.context import by, by_ims
from tests.support.notifications import NOW, SOURCE, add_source, at, notification

EVERY = timedelta(seconds=30)
GRACE = timedelta(seconds=60)
AT_ONCE = Routing({"ims": timedelta()})
"""Nothing is grouped: a notification is sent at once."""
URL = "http://am.example:9093"


def one(
    process: str = "first", *, up_since: float = -10_000, place: str = "here", is_alone: bool = True
) -> AlertmanagerInstance:
    """An Alertmanager; `up_since` is in seconds from `NOW`."""
    return AlertmanagerInstance(place, process, at(up_since), is_alone)


def listed(name: str, *, state: str = "active", starts: float = -10) -> dict[str, Any]:
    """An alert as Alertmanager lists it: the one that `notification(name)` is about."""
    labels = {"alertname": name, "service": "checkout", "severity": "critical"}
    return {
        "labels": labels,
        "annotations": {},
        "startsAt": at(starts).isoformat(),
        "fingerprint": labels_fingerprint(labels),
        "receivers": [{"name": "ims"}],
        "status": {"state": state},
    }


class World:
    """One source and its Alertmanager; times are seconds from `NOW`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.begin() as session:
            add_source(session, alertmanager_url=URL)

    def hear(self, *notifications: AlertNotification, seconds: float = 0) -> None:
        with self.database.begin() as session:
            ingest(session, notifications, [], NO_POLICY, at(seconds))

    def claim(self, seconds: float) -> Polling:
        with self.database.begin() as session:
            [polling] = claim_pollings(session, EVERY, at(seconds))
        return polling

    def reconcile(
        self, *listing: Any, seconds: float, by: AlertmanagerInstance | None = None, routing: Routing = AT_ONCE
    ) -> Reconciled:
        polling, now = self.claim(seconds), at(seconds)
        snapshot = self.snapshot(*listing, seconds=seconds, by=by, routing=routing)
        reconciled = reconcile(self.database, polling, snapshot, GRACE, now)
        assert reconciled is not None
        return reconciled

    def snapshot(
        self, *listing: Any, seconds: float, by: AlertmanagerInstance | None = None, routing: Routing = AT_ONCE
    ) -> Snapshot:
        return take_snapshot(listing, in_groups(listing), SOURCE, None, by or one(), at(seconds), routing)

    def withheld(self) -> tuple[int, str | None]:
        source = self.source()
        return source.reconciliation_withheld, source.reconciliation_withheld_reason

    def open(self) -> dict[str, int]:
        """Names of the alerts that fire, and how many episodes each has had."""
        with self.database.begin() as session:
            rows = session.execute(
                text(
                    "SELECT name, count(*) AS episodes FROM alert JOIN episode ON alert_id = alert.id"
                    " GROUP BY name HAVING bool_or(closed_at IS NULL) ORDER BY name"
                )
            )
            return {row.name: row.episodes for row in rows}

    def source(self) -> Source:
        with self.database.begin() as session:
            return session.get_one(Source, SOURCE)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_an_alert_whose_notification_was_missed_is_opened_once(world: World) -> None:
    world.hear(notification("Known"))
    for seconds in (10, 50):
        assert not world.reconcile(listed("Known"), listed("Missed"), seconds=seconds)
    first = world.reconcile(listed("Known"), listed("Missed"), seconds=100)
    assert (first.opened, first.closed) == (1, 0)
    second = world.reconcile(listed("Known"), listed("Missed"), seconds=200)
    assert not second
    assert world.open() == {"Known": 1, "Missed": 1}
    with world.database.begin() as session:
        jobs = session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'decide'"))
        incidents = session.scalar(text("SELECT count(*) FROM incident"))
    assert (jobs, incidents) == (2, 2)


GROUPED = Routing({"ims": timedelta(minutes=5)})


def test_what_grouping_may_hold_back_is_not_missed_yet(world: World) -> None:
    # It has fired for an hour: its silence has just ended, and the next notification of its group is due in 5 minutes.
    waiting = listed("Waiting", starts=-3600)
    for seconds in (0, 60, 320, 359):
        assert not world.reconcile(waiting, seconds=seconds, routing=GROUPED)
    assert world.reconcile(waiting, seconds=390, routing=GROUPED).opened == 1


def test_an_alert_that_was_suppressed_meanwhile_waits_anew(world: World) -> None:
    world.reconcile(listed("Muted"), seconds=0)
    world.reconcile(listed("Muted", state="suppressed"), seconds=30)
    world.reconcile(listed("Muted"), seconds=100)
    assert world.open() == {}
    assert world.reconcile(listed("Muted"), seconds=160).opened == 1


def test_an_alert_that_was_heard_of_meanwhile_waits_anew(world: World) -> None:
    world.reconcile(listed("Brief"), seconds=0)
    world.hear(notification("Brief"), seconds=10)
    world.reconcile(listed("Brief"), seconds=30)
    world.hear(notification("Brief", ends=40), seconds=40)
    world.reconcile(listed("Brief", starts=50), seconds=70)
    assert not world.reconcile(listed("Brief", starts=50), seconds=100)
    assert world.reconcile(listed("Brief", starts=50), seconds=130).opened == 1


def test_an_alert_that_starts_in_the_future_is_found_missing(world: World) -> None:
    # Posted with an `endsAt` alone, an alert fires from now on and starts when it ends.
    future = listed("Future", starts=1000)
    world.reconcile(future, seconds=0)
    assert world.reconcile(future, seconds=100).opened == 1
    world.hear(notification("Future", starts=1000, ends=1000), seconds=1001)
    assert world.open() == {}


def test_what_waits_is_forgotten_with_its_source(world: World) -> None:
    world.reconcile(listed("Missed"), seconds=0)
    with world.database.begin() as session:
        session.execute(text("DELETE FROM source"))
    with world.database.begin() as session:
        assert session.scalar(text("SELECT count(*) FROM unsent_alert")) == 0


def test_what_is_over_is_closed_after_the_grace_and_its_incident_resolves(world: World) -> None:
    world.hear(notification("Over"), notification("Silenced"))
    world.reconcile(listed("Over"), listed("Silenced"), seconds=50)
    for seconds, closed in ((100, 0), (159, 0), (190, 1)):
        reconciled = world.reconcile(listed("Silenced", state="suppressed"), seconds=seconds)
        assert reconciled.closed == closed
    assert world.open() == {"Silenced": 1}
    world.reconcile(seconds=300)
    world.reconcile(seconds=400)
    assert world.open() == {}
    with world.database.begin() as session:
        assert session.scalars(text("SELECT DISTINCT status FROM incident")).all() == ["resolved"]


def test_an_alert_that_is_listed_again_or_heard_of_is_not_over(world: World) -> None:
    world.hear(notification("Back"), notification("Heard"))
    world.reconcile(listed("Back"), listed("Heard"), seconds=50)
    world.reconcile(seconds=100)
    world.hear(notification("Heard"), seconds=140)
    world.reconcile(listed("Back"), seconds=150)
    world.reconcile(seconds=190)
    assert world.open() == {"Back": 1, "Heard": 1}
    world.reconcile(seconds=300)
    assert world.open() == {}


def test_right_after_its_start_an_alertmanager_s_empty_list_closes_nothing(world: World) -> None:
    world.hear(notification("Lasting"))
    world.reconcile(listed("Lasting"), seconds=50)
    for seconds in (100, 200, 300):
        world.reconcile(seconds=seconds, by=one("second", up_since=60))
        assert world.withheld() == (1, "started_lately")
    assert world.open() == {"Lasting": 1}


def test_an_alertmanager_that_never_listed_an_alert_cannot_end_it(world: World) -> None:
    world.hear(notification("Lasting"), notification("Other"))
    for seconds in (100, 200, 300):
        # It is the wrong one, though it lists something.
        world.reconcile(listed("Theirs"), seconds=seconds)
        assert world.withheld() == (2, "never_listed")
    assert world.open() == {"Lasting": 1, "Other": 1, "Theirs": 1}
    world.reconcile(listed("Lasting"), listed("Other"), listed("Theirs"), seconds=400)
    assert world.withheld() == (0, None)
    world.reconcile(listed("Lasting"), listed("Theirs"), seconds=500)
    world.reconcile(listed("Lasting"), listed("Theirs"), seconds=600)
    assert world.open() == {"Lasting": 1, "Theirs": 1}


def test_of_a_cluster_only_those_count_that_listed_an_alert_before(world: World) -> None:
    # Prometheus reaches the full one only; the address leads to one or the other.
    full, empty = one("full", is_alone=False), one("empty", up_since=-5000, is_alone=False)
    world.hear(notification("Lasting"))
    for seconds in range(100, 900, 200):
        world.reconcile(listed("Lasting"), seconds=seconds, by=full)
        world.reconcile(seconds=seconds + 100, by=empty)
        assert world.withheld() == (1, "never_listed")
    # A start does not make it the full one's heir.
    world.reconcile(listed("Elsewhere"), seconds=2000, by=one("again", up_since=1000, is_alone=False))
    world.reconcile(listed("Elsewhere"), seconds=2100, by=one("again", up_since=1000, is_alone=False))
    assert "Lasting" in world.open()
    world.reconcile(seconds=2200, by=full)
    world.reconcile(seconds=2300, by=full)
    assert "Lasting" not in world.open()


def test_a_restarted_alertmanager_ends_what_ended_meanwhile_when_it_has_settled_and_hears_something(
    world: World,
) -> None:
    world.hear(notification("Ended"), notification("Lasting"))
    world.reconcile(listed("Ended"), listed("Lasting"), seconds=50)
    again, settled = one("second", up_since=100), 101 + SETTLING.total_seconds()
    for seconds in (settled, settled + 100):
        world.reconcile(seconds=seconds, by=again)
        assert world.withheld() == (2, "never_listed")
    for seconds in (settled + 200, settled + 300):
        # It is another one: it is at another address.
        world.reconcile(listed("Lasting"), seconds=seconds, by=replace(again, place="elsewhere"))
    assert world.open() == {"Ended": 1, "Lasting": 1}
    for seconds in (settled + 400, settled + 500):
        world.reconcile(listed("Lasting"), seconds=seconds, by=again)
    assert world.open() == {"Lasting": 1}
    assert world.withheld() == (0, None)


def test_what_a_person_resolved_ends_when_it_is_not_listed(world: World) -> None:
    world.hear(notification("Brief"))
    world.reconcile(seconds=100)
    assert world.withheld() == (1, "never_listed")
    with world.database.begin() as session:
        [incident] = session.scalars(text("SELECT id FROM incident"))
        resolve(by(session, SYSTEM, at(150)), str(incident))
    world.reconcile(seconds=200)
    world.reconcile(seconds=300)
    assert world.open() == {}
    assert world.withheld() == (0, None)


def test_a_new_address_clears_what_was_withheld_for_the_old_one(world: World) -> None:
    world.hear(notification("Lasting"))
    world.reconcile(seconds=100)
    with world.database.begin() as session:
        change_source(by_ims(session, at(150)), SOURCE, {"alertmanager_url": "http://right:9093"})
    assert world.withheld() == (0, None)


def test_only_the_last_eight_that_listed_an_alert_are_stored(world: World) -> None:
    world.hear(notification("Lasting"))
    for number in range(12):
        world.reconcile(listed("Lasting"), seconds=100 * (number + 1), by=one(str(number)))
    with world.database.begin() as session:
        [listed_by] = session.scalars(text("SELECT listed_by FROM episode"))
    assert listed_by == [f"here.{number}" for number in range(4, 12)]


def test_a_notification_that_comes_after_its_reconciliation_is_a_duplicate(world: World) -> None:
    world.reconcile(listed("Late", starts=-100), seconds=-60)
    world.reconcile(listed("Late", starts=-100), seconds=0)
    assert world.open() == {"Late": 1}
    world.hear(notification("Late", starts=-100), seconds=5)
    world.hear(notification("Late", starts=-100, ends=60), seconds=70)
    assert world.open() == {}
    world.hear(notification("Late", starts=-100), seconds=80)
    assert world.open() == {}


def test_what_was_just_resolved_is_not_opened_again_by_an_older_answer(world: World) -> None:
    world.hear(notification("Brief"))
    world.hear(notification("Brief", ends=90), seconds=95)
    world.reconcile(listed("Brief"), seconds=100)
    world.reconcile(listed("Brief"), seconds=170)
    assert world.open() == {}


def test_what_its_alertmanager_still_lists_long_after_its_resolve_fires_again(world: World) -> None:
    # Prometheus could not reach Alertmanager, which gave the alert up; then it came back with the startsAt it had.
    world.hear(notification("Lasting"))
    world.hear(notification("Lasting", ends=300), seconds=300)
    world.hear(notification("Lasting"), seconds=330)
    assert world.open() == {}
    later = 301 + SETTLING.total_seconds()
    world.reconcile(listed("Lasting"), seconds=later - 60)
    assert world.open() == {}
    world.reconcile(listed("Lasting"), seconds=later)
    assert world.open() == {"Lasting": 2}
    # The old resolve once more does not end it; the real one does.
    world.hear(notification("Lasting", ends=300), seconds=later + 1)
    assert world.open() == {"Lasting": 2}
    world.hear(notification("Lasting", ends=later + 100), seconds=later + 100)
    assert world.open() == {}


def test_an_answer_that_a_newer_polling_has_overtaken_is_not_used(world: World) -> None:
    world.reconcile(listed("Missed", starts=-100), seconds=-100)
    slow = world.claim(0)
    world.claim(30)
    late = world.snapshot(listed("Missed", starts=-100), seconds=0)
    assert reconcile(world.database, slow, late, GRACE, at(31)) is None
    assert world.open() == {}


def test_several_workers_claim_a_source_once(world: World) -> None:
    claims: list[int] = []

    def claim() -> None:
        with world.database.begin() as session:
            claims.append(len(claim_pollings(session, EVERY, NOW)))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claims) == 1


def test_while_another_worker_reconciles_nothing_is_done(world: World) -> None:
    world.reconcile(listed("Missed", starts=-100), seconds=-100)
    polling = world.claim(0)
    snapshot = world.snapshot(listed("Missed", starts=-100), seconds=0)
    with world.database.begin() as other:
        other.execute(
            text("SELECT pg_advisory_xact_lock(:lock, hashtext(:source))"), {"lock": 0x494D5352, "source": SOURCE}
        )
        assert reconcile(world.database, polling, snapshot, GRACE, at(1)) is None
    assert reconcile(world.database, polling, snapshot, GRACE, at(1))


def test_more_than_a_chunk_is_reconciled(world: World) -> None:
    listing = [listed(f"Missed{number}") for number in range(1203)]
    world.reconcile(*listing, seconds=0)
    reconciled = world.reconcile(*listing, seconds=100)
    assert reconciled.opened == 1203
    world.reconcile(seconds=200)
    reconciled = world.reconcile(seconds=300)
    assert reconciled.closed == 1203
    assert world.open() == {}


def test_how_the_polling_ended_is_stored(world: World) -> None:
    polling = world.claim(0)
    with world.database.begin() as session:
        finish_polling(session, polling, "away", at(1))
    source = world.source()
    assert (source.reconciliation_problem, source.reconciled_at) == ("away", None)
    world.reconcile(seconds=30)
    source = world.source()
    assert (source.reconciliation_problem, source.reconciled_at) == (None, at(30))
    with world.database.begin() as session:
        finish_polling(session, replace(polling, at=at(-5)), "away", at(40))
    assert world.source().reconciliation_problem is None


@pytest.mark.parametrize("change", [{"disabled_at": NOW}, {"alertmanager_url": None}, {"kind": "generic"}])
def test_only_sources_that_have_an_alertmanager_are_polled(world: World, change: dict[str, Any]) -> None:
    with world.database.begin() as session:
        source = session.get_one(Source, SOURCE)
        for field, value in change.items():
            setattr(source, field, value)
    with world.database.begin() as session:
        assert claim_pollings(session, EVERY, NOW) == []


def test_the_timeline_says_that_no_notification_arrived(world: World) -> None:
    world.reconcile(listed("Missed"), seconds=0)
    world.reconcile(listed("Missed"), seconds=100)
    world.reconcile(seconds=200)
    world.reconcile(seconds=300)
    with world.database.begin() as session:
        rows = session.execute(text("SELECT kind, data FROM timeline_event WHERE kind LIKE 'alert_%' ORDER BY seq"))
        assert [(row.kind, row.data["missed"]) for row in rows] == [("alert_firing", True), ("alert_resolved", True)]
