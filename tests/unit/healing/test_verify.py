"""The green window, and what is seen while a run is verified."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from ims.healing.verification import Finding, GreenWindow, Watch, watch
from ims.monitor.probe import ProbeResult

RESOLVED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_a_window_is_complete_when_green_lasted_long_enough() -> None:
    window = GreenWindow(green_for=3)
    assert [window.see(at, is_green=True) for at in (0, 1, 2.9, 3)] == [False, False, False, True]
    assert window.began == 0


def test_one_red_probe_begins_the_window_anew() -> None:
    window = GreenWindow(green_for=2)
    seen = [window.see(at, is_green=at != 1) for at in (0, 1, 2, 3, 4)]
    assert seen == [False, False, False, False, True]
    assert window.began == 2


def test_a_window_of_no_length_is_complete_at_the_first_green_probe() -> None:
    assert GreenWindow(green_for=0).see(7, is_green=True)


def look(answers: Sequence[bool], *, resolved_at_look: int | None = None, url: str | None = "http://shop") -> Finding:
    """Watch with these answers, the last of which stays; the alert is over from a look on."""
    plan = Watch(uuid4(), 1, url, green_for=0.05, interval=0.01, left=0.2)
    left = list(answers)
    looks = 0

    async def probe(_url: str) -> ProbeResult:
        is_healthy = left.pop(0) if len(left) > 1 else left[0]
        return ProbeResult(is_healthy, "HTTP 200." if is_healthy else "The connection was refused.")

    async def is_over() -> datetime | None:
        nonlocal looks
        looks += 1
        return RESOLVED if resolved_at_look is not None and looks > resolved_at_look else None

    return asyncio.run(watch(plan, probe, is_over, lambda: datetime.now(UTC)))


def test_a_service_that_becomes_and_stays_green_is_healthy_since_its_first_green_probe() -> None:
    before = datetime.now(UTC)
    found = look([False, False, True])
    assert found.healthy_since is not None
    assert before < found.healthy_since < datetime.now(UTC)


def test_a_service_that_stays_down_is_not_healthy_and_the_last_probe_says_why() -> None:
    found = look([False])
    assert found.healthy_since is None
    assert "The connection was refused." in found.reason


def test_a_service_that_flaps_is_not_healthy() -> None:
    assert look([True, False] * 40).healthy_since is None


@pytest.mark.parametrize("url", ["http://shop", None])
def test_the_resolution_of_the_alert_counts_as_healthy(url: str | None) -> None:
    found = look([False], resolved_at_look=0, url=url)
    assert found.healthy_since == RESOLVED


def test_without_a_url_only_the_alert_counts() -> None:
    assert look([True], url=None).healthy_since is None
