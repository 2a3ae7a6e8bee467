"""The lifeline: an incident as one thin bar, time from left to right.

Pure: from what is known of an incident and the present moment to segments and marks; a template draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise


class Phase(StrEnum):
    """What was going on; one colour and one pattern each."""

    WAITING = "waiting"
    HEALING = "healing"
    VERIFYING = "verifying"
    PEOPLE = "people"
    HEALTHY = "healthy"


class MarkKind(StrEnum):
    """Moments worth a mark on the bar."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    NEEDS_PERSON = "needs_person"
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run: when it was at work, and until when its verification looked."""

    started_at: datetime
    finished_at: datetime | None = None
    """None while the playbook is running."""
    verified_at: datetime | None = None
    """None while the verification is looking; `finished_at` again when there was none."""


@dataclass(frozen=True, slots=True)
class Story:
    """What the lifeline needs to know of an incident."""

    opened_at: datetime
    resolved_at: datetime | None = None
    healed_at: datetime | None = None
    acknowledged_at: datetime | None = None
    attention_at: datetime | None = None
    first_human_at: datetime | None = None
    attempts: Sequence[Attempt] = ()
    refused_at: Sequence[datetime] = ()


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
        """How long it lasted."""
        return (self.ends - self.begins).total_seconds()


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on the bar; `left` is a fraction of it."""

    kind: MarkKind
    at: datetime
    left: float


@dataclass(frozen=True, slots=True)
class Share:
    """All stretches of one phase together; `first_after` is seconds from the beginning."""

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
        """The whole time."""
        return (self.ends - self.begins).total_seconds()

    @property
    def shares(self) -> list[Share]:
        """What the time went into, in the order it first came."""
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


def draw(story: Story, now: datetime, *, least: float = 0.04) -> Lifeline:
    """The lifeline of `story` at `now`.

    Widths follow time, but no segment is narrower than `least` of the bar: eleven seconds of healing must stay
    visible beside three hours of waiting.
    """
    begins = story.opened_at
    ends = max(begins, story.resolved_at or now)
    stretches = _stretches(story, begins, ends)
    widths = _widths([(b - a).total_seconds() for _, a, b in stretches], least)
    segments, left = [], 0.0
    for (phase, a, b), width in zip(stretches, widths, strict=True):
        segments.append(Segment(phase, a, b, left, width))
        left += width
    return Lifeline(segments, _marks(story, segments, ends), begins, ends, story.resolved_at is None)


def _stretches(story: Story, begins: datetime, ends: datetime) -> list[tuple[Phase, datetime, datetime]]:
    """The phases in order; neighbours of one phase are one stretch."""
    moments = [story.healed_at, _people_since(story)]
    for attempt in story.attempts:
        moments += [attempt.started_at, attempt.finished_at, attempt.verified_at]
    cuts = sorted({begins, ends, *(m for m in moments if m and begins < m < ends)})
    if len(cuts) == 1:
        return [(Phase.WAITING, begins, ends)]
    stretches: list[tuple[Phase, datetime, datetime]] = []
    for a, b in pairwise(cuts):
        phase = _phase(story, a)
        if stretches and stretches[-1][0] is phase:
            stretches[-1] = (phase, stretches[-1][1], b)
        else:
            stretches.append((phase, a, b))
    return stretches


def _phase(story: Story, at: datetime) -> Phase:
    """What was going on right after `at`: automation at work first, then what it or people left behind."""
    for attempt in story.attempts:
        if attempt.started_at <= at and (attempt.finished_at is None or at < attempt.finished_at):
            return Phase.HEALING
        if attempt.finished_at and attempt.finished_at <= at and _is_looking(attempt, at):
            return Phase.VERIFYING
    if story.healed_at and story.healed_at <= at:
        return Phase.HEALTHY
    people = _people_since(story)
    return Phase.PEOPLE if people and people <= at else Phase.WAITING


def _is_looking(attempt: Attempt, at: datetime) -> bool:
    return attempt.verified_at is None or at < attempt.verified_at


def _people_since(story: Story) -> datetime | None:
    """When it became the people's: automation gave up, or somebody took it."""
    known = [m for m in (story.attention_at, story.acknowledged_at, story.first_human_at) if m]
    return min(known, default=None)


def _widths(seconds: Sequence[float], least: float) -> list[float]:
    """Shares of the bar by time, none below `least` as far as all of them can have it; they add up to 1."""
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


def _marks(story: Story, segments: Sequence[Segment], ends: datetime) -> list[Mark]:
    wanted = [(MarkKind.REFUSED, at) for at in story.refused_at]
    wanted += [(MarkKind.ACKNOWLEDGED, story.acknowledged_at)] if story.acknowledged_at else []
    wanted += [(MarkKind.NEEDS_PERSON, story.attention_at)] if story.attention_at else []
    if story.healed_at:
        # It was well from the first green probe on; the tick stands where that was known.
        healthy = [segment.begins for segment in segments if segment.phase is Phase.HEALTHY]
        wanted.append((MarkKind.HEALTHY, healthy[0] if healthy else ends))
    shown = [(kind, at) for kind, at in wanted if segments[0].begins <= at <= ends]
    return [Mark(kind, at, _place(segments, at)) for kind, at in sorted(shown, key=lambda pair: pair[1])]


def _place(segments: Sequence[Segment], at: datetime) -> float:
    """Where a moment stands on a bar whose segments were widened."""
    for segment in segments:
        if at <= segment.ends:
            share = (at - segment.begins).total_seconds() / segment.seconds if segment.seconds else 0
            return segment.left + segment.width * share
    return 1.0
