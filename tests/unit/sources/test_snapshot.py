"""What is read out of an Alertmanager's answer."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ims.alerts.notifications import labels_fingerprint
from ims.alerts.routing import Routing
from ims.alerts.snapshot import SETTLING, AlertmanagerInstance, Snapshot, Uncertainty, read_instance, take_snapshot
from tests.support.alertmanager import in_groups
from tests.support.notifications import NOW, at

LONG_AGO = NOW - 2 * SETTLING


def listed(name: str = "ServiceDown", *, state: str = "active", starts: float = -600, receiver: str = "ims") -> Any:
    labels = {"alertname": name}
    return {
        "labels": labels,
        "annotations": {},
        "startsAt": at(starts).isoformat(),
        "endsAt": at(240).isoformat(),
        "updatedAt": at(-30).isoformat(),
        "fingerprint": labels_fingerprint(labels),
        "receivers": [{"name": receiver}],
        "status": {"inhibitedBy": [], "silencedBy": [], "state": state},
    }


def snapshot(*listing: Any, receiver: str | None = None, started_at: Any = LONG_AGO) -> Snapshot:
    instance = AlertmanagerInstance("here", "one", started_at, is_alone=True)
    return take_snapshot(listing, in_groups(listing), "shop", receiver, instance, NOW)


def names(taken: Snapshot) -> set[str]:
    return {one.notification.name for one in taken.firing.values()}


def test_an_alert_that_is_sent_fires_whenever_it_starts() -> None:
    # Posted with an `endsAt` alone, an alert starts at that time.
    taken = snapshot(listed("Old"), listed("New", starts=-1), listed("Future", starts=240))
    assert names(taken) == {"Old", "New", "Future"}
    assert len(taken.present) == 3


def test_what_is_in_several_groups_waits_for_the_first_of_them() -> None:
    routing = Routing({"ims": timedelta(hours=1), "pager": timedelta(minutes=1)})
    instance = AlertmanagerInstance("here", "one", LONG_AGO, is_alone=True)
    listing = [listed()]
    groups = [{"receiver": {"name": name}, "alerts": listing} for name in ("ims", "pager", "ims")]
    [one] = take_snapshot(listing, groups, "shop", None, instance, NOW, routing).firing.values()
    assert one.wait == timedelta(minutes=1)
    [one] = take_snapshot(listing, groups, "shop", "ims", instance, NOW, routing).firing.values()
    assert one.wait == timedelta(hours=1)


def test_what_is_suppressed_is_not_opened_but_has_not_resolved_either() -> None:
    taken = snapshot(listed("Silenced", state="suppressed"), listed("Waiting", state="unprocessed"))
    assert names(taken) == set()
    assert len(taken.present) == 2


def test_alerts_for_other_receivers_are_not_ours() -> None:
    assert names(snapshot(listed("Ours"), listed("Theirs", receiver="pager"), receiver="ims")) == {"Ours"}


def test_nothing_is_concluded_from_absence_right_after_a_start_or_from_half_an_answer() -> None:
    assert snapshot(listed()).uncertainty is None
    assert (
        snapshot(listed(), started_at=NOW - SETTLING + timedelta(seconds=1)).uncertainty is Uncertainty.STARTED_LATELY
    )
    assert snapshot(listed(), started_at=None).uncertainty is Uncertainty.START_UNKNOWN
    assert snapshot(listed(), {"labels": "none"}).uncertainty is Uncertainty.UNREADABLE
    instance = AlertmanagerInstance("here", "one", LONG_AGO, is_alone=True)
    assert take_snapshot([], [], "shop", None, instance, NOW, is_one=False).uncertainty is Uncertainty.SEVERAL_ANSWERED


def status(name: str = "01A", peers: int = 1, uptime: Any = None) -> dict[str, Any]:
    return {
        "cluster": {"name": name, "status": "ready", "peers": [{"name": str(number)} for number in range(peers)]},
        "uptime": uptime or LONG_AGO.isoformat(),
    }


def test_an_alertmanager_is_the_same_as_long_as_it_runs_and_is_asked_at_one_address() -> None:
    first = read_instance("http://am:9093/", status(), None, NOW)
    assert read_instance("http://am:9093", status(), NOW, NOW) == first
    for other in (status(name="01B"), status(uptime=at(-1000).isoformat())):
        assert read_instance("http://am:9093", other, None, NOW).process != first.process
    assert read_instance("http://other:9093", status(), None, NOW).place != first.place
    assert [read_instance("http://am", status(peers=peers), None, NOW).is_alone for peers in (0, 1, 2)] == [
        True,
        True,
        False,
    ]


def test_since_when_it_runs_is_read_by_its_own_clock() -> None:
    # Its clock is an hour slow: it says that it started an hour ago, and that it is an hour ago now.
    an_hour_ago = at(-3600)
    assert read_instance("http://am", status(uptime=an_hour_ago.isoformat()), an_hour_ago, NOW).started_at == NOW


@given(
    st.dictionaries(
        st.sampled_from(["cluster", "uptime"]),
        st.none()
        | st.text()
        | st.integers()
        | st.dictionaries(st.sampled_from(["name", "peers"]), st.none() | st.text() | st.lists(st.integers())),
    )
)
def test_no_status_breaks_it(given_status: dict[str, Any]) -> None:
    assert read_instance("http://am", given_status, NOW, NOW).key


@given(
    st.lists(st.recursive(st.none() | st.text() | st.integers(), lambda s: st.dictionaries(st.text(), s), max_leaves=6))
)
def test_no_answer_breaks_it(listing: list[Any]) -> None:
    taken = snapshot(*listing)
    assert not taken.firing
    assert taken.uncertainty is (Uncertainty.UNREADABLE if listing else None)
