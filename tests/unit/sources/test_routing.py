"""Which alerts an Alertmanager sends to a receiver, and how long it may wait."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.alerts.routing import DEFAULT_WAIT, MOST_CONFIGURATION, UNKNOWN, Routing, deliverable, read_routing


def routing(configuration: str) -> Routing:
    return read_routing({"config": {"original": configuration}})


TREE = """
global: {resolve_timeout: 5m}
route:
  receiver: ims
  group_wait: 10s
  group_interval: 2m
  mute_time_intervals: [nights]
  routes:
    - {matchers: ['team="a"'], group_interval: 1h30m}
    - {matchers: ['team="b"'], receiver: pager, group_wait: 15m, active_time_intervals: [office]}
    - matchers: ['team="c"']
      receiver: mail
      group_interval: 1d
      routes: [{matchers: ['severity="info"'], receiver: digest}]
receivers: [{name: ims}, {name: pager}, {name: mail}, {name: digest}, {name: unused}]
"""


def test_a_receiver_waits_as_long_as_the_slowest_of_its_routes() -> None:
    read = routing(TREE)
    assert {name: read.wait_of(name).total_seconds() for name in ("ims", "pager", "mail", "digest", "unused")} == {
        "ims": 5400,
        "pager": 900,
        "mail": 86400,
        "digest": 86400,
        "unused": DEFAULT_WAIT.total_seconds(),
    }


def test_time_intervals_are_not_inherited() -> None:
    assert routing(TREE).timed == {"ims", "pager"}


@pytest.mark.parametrize(
    "configuration",
    [
        "",
        "route: [",
        "- a",
        "route: {routes: 5}",
        "route: {receiver: 7, group_wait: soon, group_interval: 30}",
        "[" * 100_000,
        "a: &a [*a]",
        "x" * (MOST_CONFIGURATION + 1),
        "!!python/object/apply:os.system [true]",
        "route: {group_interval: 2026-13-45}",
    ],
)
def test_without_a_readable_configuration_the_defaults_apply(configuration: str) -> None:
    assert routing(configuration).wait_of("ims") == DEFAULT_WAIT
    assert routing(configuration).timed == frozenset()


def test_aliases_cannot_multiply_the_routes() -> None:
    lines = ["a0: &a0 {receiver: ims, group_wait: 1h}"]
    lines += [f"a{n}: &a{n} {{routes: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}" for n in range(1, 60)]
    assert routing("\n".join([*lines, "route: *a59"])).wait_of("ims") >= DEFAULT_WAIT


def test_a_wait_has_an_end() -> None:
    assert routing("route: {receiver: ims, group_interval: 999999999y}").wait_of("ims") == timedelta(days=7)


@given(st.recursive(st.none() | st.text() | st.integers(), lambda s: st.dictionaries(st.text(), s), max_leaves=6))
def test_no_status_breaks_it(config: Any) -> None:
    assert read_routing({"config": config}) == UNKNOWN


def group(*alerts: Any, receiver: str = "ims") -> dict[str, Any]:
    return {"receiver": {"name": receiver}, "labels": {}, "alerts": list(alerts)}


def alert(fingerprint: str, state: str = "active", **status: Any) -> dict[str, Any]:
    return {"fingerprint": fingerprint, "status": {"state": state, **status}}


def found(groups: list[Any], receiver: str | None = "ims", beside: tuple[str, ...] = (), **given: Any) -> list[str]:
    return [str(one.alert["fingerprint"]) for one in deliverable(groups, receiver, Routing(**given), beside)]


def test_suppressed_alerts_are_not_sent() -> None:
    listed = group(
        alert("a", mutedBy=[]), alert("b", mutedBy=["nights"]), alert("c", "suppressed", silencedBy=["1"], mutedBy=[])
    )
    assert found([listed]) == ["a"]


def test_what_time_intervals_might_mute_is_left_out_where_the_version_does_not_say() -> None:
    groups = [group(alert("old")), group(alert("new", mutedBy=[])), group(alert("pager"), receiver="pager")]
    assert found(groups) == ["old", "new"]
    assert found(groups, timed=frozenset({"ims"})) == ["new"]
    assert found(groups, None, timed=frozenset({"ims"})) == ["new", "pager"]


def test_only_the_groups_of_a_truncated_notification_count() -> None:
    groups = [group(alert("a"), alert("b")), group(alert("c"))]
    assert found(groups, beside=("b", "x")) == ["a", "b"]


def test_if_all_alerts_of_a_truncated_notification_are_over_every_group_counts() -> None:
    assert found([group(alert("a")), group(alert("c"))], beside=("x", "y")) == ["a", "c"]


@given(
    st.lists(st.recursive(st.none() | st.text() | st.integers(), lambda s: st.dictionaries(st.text(), s), max_leaves=6))
)
def test_no_answer_breaks_it(groups: list[Any]) -> None:
    assert found(groups, None) == []
