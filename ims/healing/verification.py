"""Verify that a service is healthy after a run: probes succeed without a break, or the alert resolves, in time.

Exit code 0 of a playbook does not prove that the service is healthy. `Watch` says what to wait for; `watch` probes
until it has seen it or the time is over. A verification that starts again restarts its green window, but not its time.
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
from ims.monitor.probe import ProbeResult
from ims.runs.models import Run, RunStatus, VerificationStatus
from ims.runs.spec import RunSpec, VerificationSpec
from ims.runs.usecases import Finding

ALERT_INTERVAL: Final = 1.0
"""Seconds between two checks of the alert."""
LEAST_SECONDS: Final = 2.0
"""Seconds that a verification lasts at least, even when no worker could begin it before its time was over."""
UNSEEN_END_SECONDS: Final = 5.0
"""Seconds within which the green window must begin after a run that did not report success: its playbook does nothing
more for the service."""

BY_PROBE: Final = "probe"
BY_ALERT: Final = "alert"

Clock = Callable[[], datetime]
Probe = Callable[[str], Awaitable[ProbeResult]]
AlertOver = Callable[[], Awaitable[datetime | None]]
"""When the alert was resolved; None while it fires, or when the database is unavailable."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What to verify. All times are in seconds: the service must be green for `green_for`, beginning within `left`."""

    run_id: UUID
    episode_id: int | None
    url: str | None
    green_for: float
    interval: float
    left: float


@dataclass(slots=True)
class GreenWindow:
    """A period of green probes without a break; times are seconds of any monotonic clock."""

    green_for: float
    began: float | None = None

    def see(self, at: float, *, is_green: bool) -> bool:
        """Record one probe; true when the window is long enough."""
        if not is_green:
            self.began = None
            return False
        if self.began is None:
            self.began = at
        return at - self.began >= self.green_for


def watch_of(session: Session, run_id: UUID) -> Watch | None:
    """What to verify after a run; None if its verification is not pending. Raises `SpecUnreadable`."""
    run = session.get(Run, run_id)
    if run is None or run.verification != VerificationStatus.PENDING:
        return None
    window = RunSpec.from_stored(run.spec).verification
    if window is None:
        return None
    # By the database's clock, as for all times that are compared between machines; `finished_at` is near enough to it.
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
    """When the alert of an episode was resolved; None while it fires or if there is no episode."""
    if episode_id is None:
        return None
    return session.scalar(select(Episode.closed_at).where(Episode.id == episode_id))


async def watch(plan: Watch, probe: Probe, is_over: AlertOver, clock: Clock) -> Finding:
    """Probe the service and check the alert until the service is healthy for long enough or the time is over.

    `clock` gives the time that is stored, which is the database's; durations are measured by the event loop.
    """
    # Concurrent with the probes, so that a slow database leaves no gap in the green window.
    alert = asyncio.create_task(_until_over(is_over))
    try:
        if plan.url is None:
            return await _watch_alert(plan, alert)
        return await _watch_service(plan, plan.url, probe, alert, clock)
    finally:
        alert.cancel()
        await asyncio.gather(alert, return_exceptions=True)


async def _until_over(is_over: AlertOver) -> datetime:
    while (over := await is_over()) is None:  # noqa: ASYNC110 - the database has to be polled
        await asyncio.sleep(ALERT_INTERVAL)
    return over


async def _watch_service(plan: Watch, url: str, probe: Probe, alert: "asyncio.Task[datetime]", clock: Clock) -> Finding:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + plan.left
    window, since, probes = GreenWindow(plan.green_for), clock(), 0
    while True:
        result = await probe(url)
        at, probes = loop.time(), probes + 1
        is_complete = window.see(at, is_green=result.is_healthy)
        if window.began == at:
            since = clock()
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
    return Finding(None, "The alert still fires, and the service has no URL to probe.", BY_ALERT)
