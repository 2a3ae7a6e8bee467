"""What a notice does to its alert's episodes. Pure: the database is read before and written after.

The rules, for one (source, fingerprint):

- firing, no open episode: open one, unless its startsAt is that of an already closed episode (a late duplicate)
- firing, open: extend, and remember a changed startsAt
- firing, open, but a person has resolved its incident: it fires anew, if its startsAt is later than all that we heard,
  or if it has none and the resolve was long ago. A sender that never tells an end would be heard only once otherwise
- resolved, open: close, unless its endsAt is before the latest startsAt we heard (an old resolve)
- resolved, none open: count

The latest, not the last: when notices are reordered, an old firing notice must not make an old resolve look new.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from ims.alerts.notifications import Notice, NoticeStatus

MOST_STARTS = 16
"""How many distinct startsAt an episode remembers."""

NOWHERE = UUID(int=0)
"""The incident of an episode that was just opened, until correlation has found it."""


class Result(StrEnum):
    """What became of a notice. A fixed set: it is a label of a metric."""

    OPENED = "opened"
    EXTENDED = "extended"
    """The alert still fires, and the sender's startsAt has moved."""
    CLOSED = "closed"
    DUPLICATE = "duplicate"
    """It says what we know."""
    LATE = "late"
    """It speaks of an episode that is over, or ends one that began before what we know."""
    REJECTED = "rejected"


@dataclass(slots=True)
class EpisodeState:
    """One episode as the batch sees it. `id` is None until it is about to be written."""

    id: int | None = None
    is_stored: bool = False
    """It was there before this batch."""
    incident_id: UUID = NOWHERE
    counted: int = 0
    """Notices of this batch."""
    starts: list[datetime] = field(default_factory=list)
    is_open: bool = True
    is_left: bool = False
    """Its incident is resolved, so a person has called it over."""
    is_long_left: bool = False
    """And that for longer than a sender may take to notice."""
    ends_at: datetime | None = None
    is_changed: bool = False
    """It was extended or closed, not only counted."""


@dataclass(slots=True)
class AlertState:
    """An alert's episodes, as far as a batch needs them."""

    open: EpisodeState | None = None
    newest_closed: EpisodeState | None = None
    closed: list[EpisodeState] = field(default_factory=list)
    """Closed episodes that some notice of this batch might repeat."""

    def take(self, notice: Notice) -> Result:
        """Apply one notice."""
        if notice.status is NoticeStatus.FIRING:
            return self._extend(self.open, notice) if self.open else self._open(notice)
        if self.open:
            return self._close(self.open, notice)
        if self.newest_closed:
            self.newest_closed.counted += 1
        return Result.DUPLICATE

    def _open(self, notice: Notice) -> Result:
        if notice.starts_at is not None:
            for episode in self.closed:
                if notice.starts_at in episode.starts:
                    episode.counted += 1
                    return Result.LATE
        self.open = EpisodeState(counted=1, starts=[notice.starts_at] if notice.starts_at else [])
        return Result.OPENED

    def _extend(self, episode: EpisodeState, notice: Notice) -> Result:
        if _fires_anew(episode, notice):
            episode.is_open, episode.is_changed = False, True
            self.open, self.newest_closed = None, episode
            self.closed.append(episode)
            return self._open(notice)
        episode.counted += 1
        episode.is_changed = True
        if notice.starts_at is None or notice.starts_at in episode.starts:
            return Result.DUPLICATE
        episode.starts = [*episode.starts, notice.starts_at][-MOST_STARTS:]
        return Result.EXTENDED

    def _close(self, episode: EpisodeState, notice: Notice) -> Result:
        episode.counted += 1
        if notice.ends_at and episode.starts and notice.ends_at < max(episode.starts):
            return Result.LATE
        episode.is_open, episode.is_changed, episode.ends_at = False, True, notice.ends_at
        self.open, self.newest_closed = None, episode
        self.closed.append(episode)
        return Result.CLOSED


def _fires_anew(episode: EpisodeState, notice: Notice) -> bool:
    if notice.starts_at is None:
        return episode.is_long_left
    return episode.is_left and all(notice.starts_at > known for known in episode.starts)
