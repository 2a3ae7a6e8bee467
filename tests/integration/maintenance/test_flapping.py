"""A flapping alert marks its incident, once, and is not healed forever."""

from typing import Any

from sqlalchemy import event, select

from ims.incidents.models import TimelineEvent
from tests.integration.maintenance.conftest import Site, policy_of
from tests.support.notifications import at, notification


def flapping_policy(**more: Any) -> Any:
    return policy_of(correlation={"flapping": {"episodes": 3, "within": 600, **more}})


def flap(site: Site, times: int, *, every: float = 60, begin: float = 0) -> list[int]:
    """An alert that fires so often, resolved after half the time but for the last one; its episodes."""
    episodes = []
    for number in range(times):
        start = begin + number * every
        episodes += site.take(notification(starts=start), now=at(start)).new_episodes
        if number < times - 1:
            site.take(notification(starts=start, ends=start + every / 2), now=at(start + every / 2))
    return episodes


def test_an_alert_that_fires_more_often_than_allowed_marks_its_incident_once(site: Site) -> None:
    site.activate(flapping_policy())
    *calm, last = flap(site, 4)
    assert [site.incident_of(episode).flapping_since for episode in calm] == [None] * 3
    incident = site.incident_of(last)
    assert incident.flapping_since == at(180)
    assert site.events(incident.id) == ["flapping"]
    event = site.session.scalars(select(TimelineEvent).where(TimelineEvent.kind == "flapping")).one()
    assert event.data == {"alert": "ServiceDown", "episodes": 3, "within": 600}


def test_an_incident_is_noted_once_however_often_its_alert_comes_back(site: Site) -> None:
    site.activate(policy_of(correlation={"flapping": {"episodes": 3, "within": 600}, "auto_resolve": "never"}))
    *_, last = flap(site, 9)
    assert site.events(site.incident_of(last).id) == ["flapping"]
    assert site.incident_of(last).flapping_since == at(180)


def test_what_fires_often_over_a_long_time_is_not_flapping(site: Site) -> None:
    site.activate(flapping_policy())
    *_, last = flap(site, 8, every=250)
    assert site.incident_of(last).flapping_since is None


def test_many_alerts_of_one_service_that_fire_once_are_not_flapping(site: Site) -> None:
    site.activate(flapping_policy())
    (first, *_) = site.take(*(notification(f"Alert{number}") for number in range(20))).new_episodes
    assert site.incident_of(first).flapping_since is None


def test_a_flapping_incident_is_not_healed_and_needs_attention(site: Site) -> None:
    site.activate(flapping_policy())
    *_, last = flap(site, 4)
    (decision,) = site.decide(last, now=at(181))
    assert (decision.verdict.reason, decision.verdict.is_final) == ("flapping", True)
    incident = site.incident_of(last)
    assert incident.attention_at == at(181)
    assert site.events(incident.id) == ["flapping", "rule_denied", "automation_gave_up"]


def test_the_policy_may_let_rules_go_on(site: Site) -> None:
    site.activate(flapping_policy(heal=True))
    *_, last = flap(site, 4)
    assert site.incident_of(last).flapping_since is not None
    assert site.decide(last, now=at(181))[0].verdict.reason == "allowed"


def test_an_alert_that_calmed_down_is_healed_again(site: Site) -> None:
    site.activate(flapping_policy())
    flap(site, 4)
    site.take(notification(starts=180, ends=200), now=at(200))
    (later,) = site.take(notification(starts=3600), now=at(3600)).new_episodes
    assert site.incident_of(later).flapping_since is None
    assert site.decide(later, now=at(3601))[0].verdict.reason == "allowed"


def test_counting_is_one_statement_for_any_batch_and_none_for_first_alerts_and_repeats(site: Site) -> None:
    site.activate(flapping_policy())
    seen: list[str] = []
    connection = site.session.connection()
    event.listen(connection, "before_cursor_execute", lambda _c, _k, statement, *_: seen.append(statement))

    def counts(size: int, start: float, **more: Any) -> int:
        seen.clear()
        site.take(
            *(notification(f"S{size}A{number}", starts=start, **more) for number in range(size)), now=at(start + 1)
        )
        return sum("flapping" in statement for statement in seen)

    for size in (1, 100):
        first, repeated, resolved = counts(size, 0), counts(size, 0), counts(size, 0, ends=10)
        assert (first, repeated, resolved, counts(size, 20)) == (0, 0, 0, 1)


def test_an_alert_that_fires_repeatedly_within_one_batch_is_flapping_too(site: Site) -> None:
    site.activate(flapping_policy())
    come_and_go = [
        part
        for second in range(5)
        for part in (notification(starts=second), notification(starts=second, ends=second + 0.5))
    ]
    outcome = site.take(*come_and_go, notification(starts=10), now=at(20))
    assert len(outcome.flapping_incidents) == 1
    assert site.events(outcome.flapping_incidents[0]) == ["flapping"]
