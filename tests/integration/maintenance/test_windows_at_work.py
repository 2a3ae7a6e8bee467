"""During a window IMS neither heals nor notifies; alerts that still fire at its end are treated as new."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from ims.core.db.engine import Database
from ims.healing.decide import decide
from ims.healing.models import Decision
from ims.incidents.models import Incident, TimelineEvent
from ims.maintenance.usecases import Followed, add_window, end_window, follow_windows, remove_window
from ims.policy.windows import MaintenanceWindow
from ims.runs.models import Run
from tests.integration.maintenance.conftest import Site, policy_of, window
from tests.support.context import ALICE, by
from tests.support.notifications import add_source, at, notification


def one_off(**more: object) -> MaintenanceWindow:
    return MaintenanceWindow.model_validate(window(**more) | {"services": ("checkout",)})


def test_in_a_window_an_alert_is_recorded_marked_and_left_alone(site: Site) -> None:
    site.activate(policy_of(window(reason="Patches")))
    (episode,) = site.take(notification()).new_episodes
    (decision,) = site.decide(episode, now=at(1))
    assert decision.verdict.reason == "maintenance"
    incident = site.incident_of(episode)
    assert (incident.maintenance, incident.attention_at, incident.status) == ("patching", None, "open")
    assert site.events(incident.id) == ["maintenance_began"]
    assert site.session.scalar(select(func.count()).select_from(Run)) == 0
    (decision,) = site.session.scalars(select(Decision))
    assert (decision.reason, decision.count) == ("maintenance", 1)
    event = site.session.scalars(select(TimelineEvent).where(TimelineEvent.kind == "maintenance_began")).one()
    assert event.data == {"window": "patching", "until": at(3600).isoformat(), "reason": "Patches"}


def test_an_alert_without_a_rule_needs_no_attention_in_a_window(site: Site) -> None:
    site.activate(policy_of(window()))
    (episode,) = site.take(notification("DiskFull")).new_episodes
    (decision,) = site.decide(episode, now=at(1))
    assert decision.verdict.reason == "maintenance"
    assert site.incident_of(episode).attention_at is None
    assert site.events(site.incident_of(episode).id) == ["maintenance_began"]


def test_a_decision_repeated_in_a_window_tells_nothing_more(site: Site) -> None:
    site.activate(policy_of(window()))
    (episode,) = site.take(notification()).new_episodes
    for second in (1, 2, 3):
        site.decide(episode, now=at(second))
    assert site.events(site.incident_of(episode).id) == ["maintenance_began"]
    assert site.session.scalars(select(Decision.count)).one() == 3


def test_the_decision_comes_again_when_the_window_ends_and_at_least_each_hour(site: Site) -> None:
    site.activate(policy_of(window(to=at(90).isoformat())))
    (episode,) = site.take(notification()).new_episodes
    (decision,) = site.decide(episode, now=at(30))
    assert decision.verdict.again == timedelta(seconds=60)
    site.activate(policy_of(window(to=at(86400).isoformat())))
    (decision,) = site.decide(episode, now=at(30))
    assert decision.verdict.again == timedelta(hours=1)
    assert [arguments for arguments, when in site.jobs() if when] == [{"episode_ids": [episode]}] * 2


def test_what_still_fires_at_the_end_is_healed_as_if_it_were_new(site: Site) -> None:
    site.activate(policy_of(window()))
    (episode,) = site.take(notification()).new_episodes
    site.decide(episode, now=at(1))
    (decision,) = site.decide(episode, now=at(3600))
    assert decision.verdict.reason == "allowed"
    incident = site.incident_of(episode)
    assert incident.maintenance is None
    assert site.events(incident.id) == ["maintenance_began", "maintenance_ended", "rule_allowed"]


def test_the_sweep_ends_what_no_decision_ended(site: Site) -> None:
    site.activate(policy_of(window()))
    episodes = site.take(notification(), notification(instance="2")).new_episodes
    site.decide(*episodes, now=at(1))
    site.forget_jobs()
    assert follow_windows(site.session, at(3599)) == Followed(open_windows=1, began=0, ended=0)
    assert site.jobs() == []
    assert follow_windows(site.session, at(3600)) == Followed(open_windows=0, began=0, ended=1)
    assert [arguments for arguments, _ in site.jobs()] == [{"episode_ids": list(episodes)}]
    assert follow_windows(site.session, at(3601)) == Followed(open_windows=0, began=0, ended=0)
    assert site.events(site.incident_of(episodes[0]).id) == ["maintenance_began", "maintenance_ended"]


def test_a_policy_without_the_window_ends_it(site: Site) -> None:
    site.activate(policy_of(window()))
    (episode,) = site.take(notification()).new_episodes
    site.decide(episode, now=at(1))
    site.activate(policy_of())
    assert follow_windows(site.session, at(2)).ended == 1
    assert site.incident_of(episode).maintenance is None


def test_a_window_that_opens_later_marks_what_fires_already(site: Site) -> None:
    (covered, other) = site.take(notification(), notification(service="search")).new_episodes
    site.activate(policy_of(window(**{"from": at(10).isoformat()})))
    assert follow_windows(site.session, at(9)).began == 0
    assert follow_windows(site.session, at(10)).began == 1
    assert site.incident_of(covered).maintenance == "patching"
    assert site.incident_of(other).maintenance is None
    assert site.decide(covered, now=at(11))[0].verdict.reason == "maintenance"


def test_a_window_added_and_ended_by_command_works_at_once(site: Site) -> None:
    (episode,) = site.take(notification()).new_episodes
    site.forget_jobs()
    add_window(by(site.session, ALICE, at(1)), one_off())
    assert site.incident_of(episode).maintenance == "patching"
    end_window(by(site.session, ALICE, at(2)), "patching")
    assert site.incident_of(episode).maintenance is None
    assert [arguments for arguments, _ in site.jobs()] == [{"episode_ids": [episode]}]
    assert site.decide(episode, now=at(3))[0].verdict.reason == "allowed"


def test_a_removed_window_lets_go_of_its_incidents(site: Site) -> None:
    add_window(by(site.session, ALICE, at(1)), one_off())
    (episode,) = site.take(notification()).new_episodes
    site.decide(episode, now=at(2))
    remove_window(by(site.session, ALICE, at(3)), "patching")
    assert site.incident_of(episode).maintenance is None


def test_a_window_of_the_inventory_ended_early_opens_again_next_time(site: Site) -> None:
    site.activate(policy_of(window(rrule="FREQ=DAILY")))
    (episode,) = site.take(notification()).new_episodes
    site.decide(episode, now=at(1))
    end_window(by(site.session, ALICE, at(2)), "patching")
    assert site.incident_of(episode).maintenance is None
    assert follow_windows(site.session, at(3)).open_windows == 0
    assert follow_windows(site.session, at(86400)).open_windows == 1
    assert site.incident_of(episode).maintenance == "patching"


def test_one_alert_that_is_not_covered_is_enough_for_people(site: Site) -> None:
    site.activate(policy_of(window(match={"alertname": "ServiceDown"})))
    covered, other = site.take(notification(), notification("DiskFull")).new_episodes
    reasons = {decision.episode_id: decision.verdict.reason for decision in site.decide(covered, other, now=at(1))}
    assert reasons == {covered: "maintenance", other: "no_rule"}
    incident = site.incident_of(covered)
    assert (incident.maintenance, incident.attention_at) == (None, at(1))


def test_a_later_alert_that_is_not_covered_takes_the_mark_away(site: Site) -> None:
    site.activate(policy_of(window(match={"alertname": "ServiceDown"})))
    (covered,) = site.take(notification()).new_episodes
    site.decide(covered, now=at(1))
    (other,) = site.take(notification("DiskFull")).new_episodes
    site.decide(other, now=at(2))
    incident = site.incident_of(covered)
    assert (incident.maintenance, incident.attention_at) == (None, at(2))
    # The covered alert does not bring the mark back while the other one fires.
    site.decide(covered, now=at(3))
    assert follow_windows(site.session, at(4)) == Followed(open_windows=1, began=0, ended=0)


def test_groups_cover_the_services_on_their_machines(site: Site) -> None:
    site.activate(policy_of(window(services=[], groups=["racks"])))
    covered, other = site.take(notification(), notification(service="search")).new_episodes
    reasons = [decision.verdict.reason for decision in site.decide(covered, other, now=at(1))]
    assert reasons == ["maintenance", "allowed"]


def test_labels_alone_cover_alerts_of_unknown_services(site: Site) -> None:
    site.activate(policy_of(window(services=[], match={"cluster": {"regex": "eu-.*"}})))
    covered, other = site.take(
        notification(service="x", cluster="eu-1"), notification("B", service="x", cluster="us-1")
    ).new_episodes
    reasons = [decision.verdict.reason for decision in site.decide(covered, other, now=at(1))]
    assert reasons == ["maintenance", "no_rule"]


def test_an_incident_that_resolves_in_its_window_keeps_its_mark(site: Site) -> None:
    site.activate(policy_of(window()))
    (episode,) = site.take(notification()).new_episodes
    site.decide(episode, now=at(1))
    site.take(notification(ends=5), now=at(6))
    assert follow_windows(site.session, at(7200)).ended == 0
    incident = site.incident_of(episode)
    assert (incident.status, incident.maintenance) == ("resolved", "patching")


def test_an_incident_in_which_nothing_fires_keeps_its_mark_while_its_window_is_open(site: Site) -> None:
    site.activate(policy_of(window(), correlation={"auto_resolve": "never"}))
    (episode,) = site.take(notification()).new_episodes
    site.decide(episode, now=at(1))
    site.take(notification(ends=5), now=at(6))
    assert follow_windows(site.session, at(7)).ended == 0
    assert follow_windows(site.session, at(3600)).ended == 1
    assert site.incident_of(episode).maintenance is None


def test_a_mark_without_a_policy_is_cleared(site: Site) -> None:
    (episode,) = site.take(notification()).new_episodes
    incident = site.incident_of(episode)
    site.session.execute(update(Incident).values(maintenance="gone"))
    assert follow_windows(site.session, at(1)).ended == 1
    assert site.events(incident.id) == ["maintenance_ended"]


def test_many_incidents_are_marked_and_let_go_in_steps(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ims.maintenance.usecases.MARKED_AT_ONCE", 3)
    site.take(*(notification(f"Alert{number}", service=f"unknown-{number}") for number in range(8)))
    site.activate(policy_of(window(services=[], match={"alertname": {"regex": "Alert.*"}})))
    begun = [follow_windows(site.session, at(1)) for _ in range(3)]
    assert [(step.began, step.is_step) for step in begun] == [(3, True), (3, True), (2, False)]
    ended = [follow_windows(site.session, at(3600)) for _ in range(3)]
    assert [(step.ended, step.is_step) for step in ended] == [(3, True), (3, True), (2, False)]


@pytest.mark.parametrize("workers", [8])
def test_many_workers_at_once_end_a_window_once(database: Database, workers: int) -> None:
    with database.begin() as session:
        add_source(session)
        site = Site(session, policy_of(window()))
        site.activate(site.policy)
        episodes = site.take(
            *(notification(f"A{n}", service=service) for n in range(20) for service in ("checkout", "x"))
        )
        decide(session, episodes.new_episodes, at(1))
        site.forget_jobs()

    def follow(_: int) -> int:
        with database.begin() as session:
            return follow_windows(session, at(3600)).ended

    with ThreadPoolExecutor(workers) as pool:
        assert sum(pool.map(follow, range(workers))) == 1
    with database.begin() as session:
        ended = select(func.count()).select_from(TimelineEvent).where(TimelineEvent.kind == "maintenance_ended")
        assert session.scalar(ended) == 1
        (job,) = Site(session, policy_of()).jobs()
        assert len(job[0]["episode_ids"]) == 20
