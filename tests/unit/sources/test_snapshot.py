"""What is read out of an Alertmanager's answer."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ims.alerts.notices import labels_fingerprint
from ims.sources.snapshot import SETTLING, Snapshot, take_snapshot
from tests.support.notices import NOW, at

GRACE = timedelta(seconds=60)
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
    return take_snapshot(listing, "shop", receiver, started_at, GRACE, NOW)


def names(taken: Snapshot) -> set[str]:
    return {notice.name for notice in taken.firing.values()}


def test_what_fires_for_long_enough_is_firing() -> None:
    taken = snapshot(listed("Old"), listed("New", starts=-59))
    assert names(taken) == {"Old"}
    assert len(taken.present) == 2


def test_what_is_suppressed_is_not_opened_but_has_not_resolved_either() -> None:
    taken = snapshot(listed("Silenced", state="suppressed"), listed("Waiting", state="unprocessed"))
    assert names(taken) == set()
    assert len(taken.present) == 2


def test_alerts_for_other_receivers_are_not_ours() -> None:
    assert names(snapshot(listed("Ours"), listed("Theirs", receiver="pager"), receiver="ims")) == {"Ours"}


def test_nothing_is_concluded_from_absence_right_after_a_start_or_from_half_an_answer() -> None:
    assert snapshot(listed()).is_complete
    assert not snapshot(listed(), started_at=NOW - SETTLING + timedelta(seconds=1)).is_complete
    assert not snapshot(listed(), started_at=None).is_complete
    assert not snapshot(listed(), {"labels": "none"}).is_complete


@given(
    st.lists(st.recursive(st.none() | st.text() | st.integers(), lambda s: st.dictionaries(st.text(), s), max_leaves=6))
)
def test_no_answer_breaks_it(listing: list[Any]) -> None:
    taken = snapshot(*listing)
    assert not taken.firing
    assert taken.is_complete == (not listing)
