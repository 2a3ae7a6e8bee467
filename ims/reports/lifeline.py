"""The lifeline: an incident as one thin bar, time from left to right.

Pure: computes segments and marks from an incident's history and the present moment; a template draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise


class Phase(StrEnum):
    """A phase of an incident; each has its own colour and pattern."""

    WAITING = "waiting"
    HEALING = "healing"
    VERIFYING = "verifying"
    PEOPLE = "people"
    HEALTHY = "healthy"


class MarkKind(StrEnum):
    """Moments worth a mark on the bar."""

    ACKNOWLEDGED = "acknowledged"
    DENIED = "denied"
    NEEDS_ATTENTION = "needs_attention"
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run: when its playbook ran, and until when its verification lasted."""

    started_at: datetime
    finished_at: datetime | None = None
    """None while the playbook is running."""
    verified_at: datetime | None = None
    """None during the verification; equal to `finished_at` when there was none."""


@dataclass(frozen=True, slots=True)
class History:
    """The history of an incident, as the lifeline needs it."""

    opened_at: datetime
    resolved_at: datetime | None = None
    healed_at: datetime | None = None
    acknowledged_at: datetime | None = None
    attention_at: datetime | None = None
    first_human_at: datetime | None = None
    attempts: Sequence[Attempt] = ()
    denied_at: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one phase. `left` and `width` are fractions of the bar."""

    phase: Phase
    begins: datetime
    ends: datetime
    left: float
    width: float

    @property
    def seconds(self) -> float:
        """The duration of the segment."""
        return (self.ends - self.begins).total_seconds()


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on the bar; `left` is a fraction of it."""

    kind: MarkKind
    at: datetime
    left: float


@dataclass(frozen=True, slots=True)
class Share:
    """All segments of one phase together; `first_after` is in seconds from the beginning."""

    phase: Phase
    seconds: float
    times: int
    first_after: float


@dataclass(frozen=True, slots=True)
class Lifeline:
    """The bar: its segments touch each other and fill it. An open one ends at the present moment."""

    segments: Sequence[Segment]
    marks: Sequence[Mark]
    begins: datetime
    ends: datetime
    is_open: bool

    @property
    def seconds(self) -> float:
        """The duration of the whole bar."""
        return (self.ends - self.begins).total_seconds()

    @property
    def shares(self) -> list[Share]:
        """The time spent in each phase, in the order in which they first occurred."""
        phases = {segment.phase: segment.begins for segment in reversed(self.segments)}
        return [
            Share(
                phase,
                sum(segment.seconds for segment in self.segments if segment.phase is phase),
                sum(segment.phase is phase for segment in self.segments),
                (begins - self.begins).total_seconds(),
            )
            for phase, begins in sorted(phases.items(), key=lambda pair: pair[1])
        ]


def draw(history: History, now: datetime, *, least: float = 0.04) -> Lifeline:
    """The lifeline of `history` at `now`.

    Widths are proportional to time, but no segment is narrower than `least` of the bar: eleven seconds of healing must
    stay visible beside three hours of waiting.
    """
    begins = history.opened_at
    ends = max(begins, history.resolved_at or now)
    stretches = _stretches(history, begins, ends)
    widths = _widths([(b - a).total_seconds() for _, a, b in stretches], least)
    segments, left = [], 0.0
    for (phase, a, b), width in zip(stretches, widths, strict=True):
        segments.append(Segment(phase, a, b, left, width))
        left += width
    return Lifeline(segments, _marks(history, segments, ends), begins, ends, history.resolved_at is None)


def _stretches(history: History, begins: datetime, ends: datetime) -> list[tuple[Phase, datetime, datetime]]:
    """The phases in order; adjacent periods of the same phase are joined."""
    moments = [history.healed_at, _people_since(history)]
    for attempt in history.attempts:
        moments += [attempt.started_at, attempt.finished_at, attempt.verified_at]
    cuts = sorted({begins, ends, *(m for m in moments if m and begins < m < ends)})
    if len(cuts) == 1:
        return [(Phase.WAITING, begins, ends)]
    stretches: list[tuple[Phase, datetime, datetime]] = []
    for a, b in pairwise(cuts):
        phase = _phase(history, a)
        if stretches and stretches[-1][0] is phase:
            stretches[-1] = (phase, stretches[-1][1], b)
        else:
            stretches.append((phase, a, b))
    return stretches


def _phase(history: History, at: datetime) -> Phase:
    """The phase right after `at`: runs and verifications take precedence, then healthy, then people."""
    for attempt in history.attempts:
        if attempt.started_at <= at and (attempt.finished_at is None or at < attempt.finished_at):
            return Phase.HEALING
        if attempt.finished_at and attempt.finished_at <= at and _is_looking(attempt, at):
            return Phase.VERIFYING
    if history.healed_at and history.healed_at <= at:
        return Phase.HEALTHY
    people = _people_since(history)
    return Phase.PEOPLE if people and people <= at else Phase.WAITING


def _is_looking(attempt: Attempt, at: datetime) -> bool:
    return attempt.verified_at is None or at < attempt.verified_at


def _people_since(history: History) -> datetime | None:
    """Since when people are needed or active: automation gave up, or somebody acknowledged or acted."""
    known = [m for m in (history.attention_at, history.acknowledged_at, history.first_human_at) if m]
    return min(known, default=None)


def _widths(seconds: Sequence[float], least: float) -> list[float]:
    """Shares of the bar by time, none below `least` as far as that is possible for all; they add up to 1."""
    least = min(least, 1 / len(seconds))
    whole = sum(seconds)
    if whole <= 0:
        return [1 / len(seconds)] * len(seconds)
    shares = [s / whole for s in seconds]
    small = {i for i, share in enumerate(shares) if share < least}
    # Widening the small ones takes from the large ones, which may make another one small.
    while True:
        room = 1 - least * len(small)
        large = sum(share for i, share in enumerate(shares) if i not in small)
        scale = room / large if large else 0
        more = {i for i, share in enumerate(shares) if i not in small and share * scale < least - 1e-12}
        if not more:
            return [least if i in small else share * scale for i, share in enumerate(shares)]
        small |= more


def _marks(history: History, segments: Sequence[Segment], ends: datetime) -> list[Mark]:
    wanted = [(MarkKind.DENIED, at) for at in history.denied_at]
    wanted += [(MarkKind.ACKNOWLEDGED, history.acknowledged_at)] if history.acknowledged_at else []
    wanted += [(MarkKind.NEEDS_ATTENTION, history.attention_at)] if history.attention_at else []
    if history.healed_at:
        # The service was healthy from the first green probe on; the tick marks when that was known.
        healthy = [segment.begins for segment in segments if segment.phase is Phase.HEALTHY]
        wanted.append((MarkKind.HEALTHY, healthy[0] if healthy else ends))
    shown = [(kind, at) for kind, at in wanted if segments[0].begins <= at <= ends]
    return [Mark(kind, at, _place(segments, at)) for kind, at in sorted(shown, key=lambda pair: pair[1])]


def _place(segments: Sequence[Segment], at: datetime) -> float:
    """The position of a moment on a bar whose segments were widened."""
    for segment in segments:
        if at <= segment.ends:
            share = (at - segment.begins).total_seconds() / segment.seconds if segment.seconds else 0
            return segment.left + segment.width * share
    return 1.0
