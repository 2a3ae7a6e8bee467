"""Verify that a service is healthy after a run: green without a break, or the alert resolved, in time.

Exit code 0 of a playbook is no health. `Watch` says what is to be seen, `watch` looks until it has seen it or the time
is over; a repeated look starts its green window anew, but never the time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import extract, func, select
from sqlalchemy.orm import Session

from ims.alerts.models import Episode
from ims.core.clock import utc_now
from ims.monitor.probe import ProbeResult
from ims.runs.models import Run, RunStatus, VerificationStatus
from ims.runs.spec import RunSpec, VerificationSpec
from ims.runs.usecases import Finding

ALERT_INTERVAL: Final = 1.0
"""Seconds between two looks at the alert."""
LEAST_SECONDS: Final = 2.0
"""Seconds that are watched at least, when nobody could watch before the time was over."""
UNSEEN_END_SECONDS: Final = 5.0
"""Seconds in which the green window must begin after a run whose end nobody saw: no more is to be expected of it."""

BY_PROBE: Final = "probe"
BY_ALERT: Final = "alert"

Probe = Callable[[str], Awaitable[ProbeResult]]
AlertOver = Callable[[], Awaitable[datetime | None]]
"""When the alert was resolved; None while it fires, or when the database is away."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is to be watched: for how long, in seconds, the service must be green, and what time is left to begin."""

    run_id: UUID
    episode_id: int | None
    url: str | None
    green_for: float
    interval: float
    left: float


@dataclass(slots=True)
class GreenWindow:
    """A stretch of green probes without a break; times are seconds of any steady clock."""

    green_for: float
    began: float | None = None

    def see(self, at: float, *, is_green: bool) -> bool:
        """Take in one probe; true when the window is long enough."""
        if not is_green:
            self.began = None
            return False
        if self.began is None:
            self.began = at
        return at - self.began >= self.green_for


def watch_of(session: Session, run_id: UUID) -> Watch | None:
    """What a run waits for; None if it waits for nothing. Raises `SpecUnreadable`."""
    run = session.get(Run, run_id)
    if run is None or run.verification != VerificationStatus.PENDING:
        return None
    window = RunSpec.from_stored(run.spec).verification
    if window is None:
        return None
    # By the database's clock, like everything that is measured between machines; the writer's clock is near enough.
    age = session.scalar(select(extract("epoch", func.clock_timestamp() - run.finished_at)))
    return Watch(
        run_id=run.id,
        episode_id=run.episode_id,
        url=window.url,
        green_for=window.green_for,
        interval=window.interval,
        left=_left(window, float(age or 0), end_was_seen=run.status == RunStatus.SUCCEEDED),
    )


def _left(window: VerificationSpec, age: float, *, end_was_seen: bool) -> float:
    within = window.within if end_was_seen else min(window.within, max(UNSEEN_END_SECONDS, window.green_for))
    return max(within - age, LEAST_SECONDS)


def alert_over(session: Session, episode_id: int | None) -> datetime | None:
    """When the alert of an episode was resolved; None while it fires or if there is none."""
    if episode_id is None:
        return None
    return session.scalar(select(Episode.closed_at).where(Episode.id == episode_id))


async def watch(plan: Watch, probe: Probe, is_over: AlertOver) -> Finding:
    """Probe and look at the alert until the service is healthy for long enough or the time is over."""
    # Beside the probes, so that a slow database leaves no hole in the green window.
    alert = asyncio.create_task(_until_over(is_over))
    try:
        if plan.url is None:
            return await _watch_alert(plan, alert)
        return await _watch_service(plan, plan.url, probe, alert)
    finally:
        alert.cancel()
        await asyncio.gather(alert, return_exceptions=True)


async def _until_over(is_over: AlertOver) -> datetime:
    while (over := await is_over()) is None:  # noqa: ASYNC110 - the database does not tell, it must be asked
        await asyncio.sleep(ALERT_INTERVAL)
    return over


async def _watch_service(plan: Watch, url: str, probe: Probe, alert: "asyncio.Task[datetime]") -> Finding:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + plan.left
    window, since, probes = GreenWindow(plan.green_for), utc_now(), 0
    while True:
        result = await probe(url)
        at, probes = loop.time(), probes + 1
        is_complete = window.see(at, is_green=result.is_healthy)
        if window.began == at:
            since = utc_now()
        if is_complete:
            return Finding(since, f"The service was green for {plan.green_for:g} s.", BY_PROBE, probes)
        if alert.done():
            return Finding(alert.result(), "The alert was resolved.", BY_ALERT, probes)
        if window.began is None and at >= deadline:
            return Finding(None, f"The service was not healthy in time. {result.reason}", BY_PROBE, probes)
        await asyncio.sleep(plan.interval)


async def _watch_alert(plan: Watch, alert: "asyncio.Task[datetime]") -> Finding:
    await asyncio.wait([alert], timeout=plan.left)
    if alert.done():
        return Finding(alert.result(), "The alert was resolved.", BY_ALERT)
    return Finding(None, "The alert still fires, and the service has no url that could be probed.", BY_ALERT)
