"""The effect of a notification on its alert's episodes. Pure: the database is read before and written after.

The rules, for one (source, fingerprint):

- firing, no open episode: open one, unless its startsAt is that of an already closed episode (a late duplicate)
- firing, open: extend it, and record a changed startsAt
- firing, open, but a person has resolved its incident: it fires anew, if its startsAt is later than all received ones,
  or if it has none and the incident was resolved long ago. Otherwise only the first alert of a sender that never sends
  a resolved notification would count
- resolved, open: close it, unless it has an earlier startsAt than the latest received one and ended before that (it is
  an old one). Without a startsAt it closes what is open: a sender's clock alone decides nothing
- resolved, none open: count it

The latest startsAt, not the last one received: when notifications are reordered, an old firing notification must not
make an old resolved notification look new. A startsAt that was ahead of our clock when it was received does not count
as the latest one, unless there is no other.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from ims.alerts.notifications import AlertNotification, NotificationStatus

MOST_STARTS = 16
"""How many distinct startsAt an episode stores."""

NOWHERE = UUID(int=0)
"""Stands for the incident of an episode that was just opened, until correlation has found it."""


class Result(StrEnum):
    """The result of a notification. A fixed set: it is a label of a metric."""

    OPENED = "opened"
    EXTENDED = "extended"
    """The alert still fires, and the sender's startsAt has moved."""
    CLOSED = "closed"
    DUPLICATE = "duplicate"
    """It contains nothing new."""
    LATE = "late"
    """It belongs to an episode that is over, or its endsAt is before the start of the open one."""
    REJECTED = "rejected"
    IGNORED = "ignored"
    """By its own words it is no alert."""


@dataclass(slots=True)
class EpisodeState:
    """An episode as the batch sees it. `id` is None until it is about to be written."""

    id: int | None = None
    is_stored: bool = False
    """It existed before this batch."""
    incident_id: UUID = NOWHERE
    counted: int = 0
    """Notifications of this batch."""
    starts: list[datetime] = field(default_factory=list)
    is_open: bool = True
    is_left: bool = False
    """Its incident is resolved although it is open: a person resolved it."""
    is_long_left: bool = False
    """The incident was resolved longer ago than a sender may take to notice."""
    heard_at: datetime | None = None
    """When a firing notification last came, by our clock."""
    ends_at: datetime | None = None
    is_changed: bool = False
    """It was extended or closed, not only counted."""


@dataclass(slots=True)
class AlertState:
    """The episodes of an alert that a batch needs."""

    open: EpisodeState | None = None
    newest_closed: EpisodeState | None = None
    closed: list[EpisodeState] = field(default_factory=list)
    """Closed episodes that a notification of this batch may duplicate."""

    contradiction: timedelta = timedelta()
    """By how much an alert of this batch ended before it began, by its sender's clock."""

    def take(self, notification: AlertNotification, now: datetime) -> Result:
        """Apply one notification."""
        if notification.status is NotificationStatus.FIRING:
            return self._extend(self.open, notification, now) if self.open else self._open(notification, now)
        if self.open:
            return self._close(self.open, notification)
        if self.newest_closed:
            self.newest_closed.counted += 1
        return Result.DUPLICATE

    def _open(self, notification: AlertNotification, now: datetime) -> Result:
        if notification.starts_at is not None:
            for episode in self.closed:
                if notification.starts_at in episode.starts:
                    episode.counted += 1
                    return Result.LATE
        starts = [notification.starts_at] if notification.starts_at else []
        self.open = EpisodeState(counted=1, starts=starts, heard_at=now)
        return Result.OPENED

    def _extend(self, episode: EpisodeState, notification: AlertNotification, now: datetime) -> Result:
        if _fires_anew(episode, notification):
            episode.is_open, episode.is_changed = False, True
            self.open, self.newest_closed = None, episode
            self.closed.append(episode)
            return self._open(notification, now)
        episode.counted += 1
        episode.is_changed, episode.heard_at = True, now
        if notification.starts_at is None or notification.starts_at in episode.starts:
            return Result.DUPLICATE
        episode.starts = [*episode.starts, notification.starts_at][-MOST_STARTS:]
        return Result.EXTENDED

    def _close(self, episode: EpisodeState, notification: AlertNotification) -> Result:
        episode.counted += 1
        if notification.ends_at and episode.starts and notification.ends_at < (latest := _latest_start(episode)):
            if notification.starts_at is not None and notification.starts_at < latest:
                return Result.LATE
            self.contradiction = max(self.contradiction, latest - notification.ends_at)
        episode.is_open, episode.is_changed, episode.ends_at = False, True, notification.ends_at
        self.open, self.newest_closed = None, episode
        self.closed.append(episode)
        return Result.CLOSED


def _latest_start(episode: EpisodeState) -> datetime:
    believed = [at for at in episode.starts if episode.heard_at is None or at <= episode.heard_at]
    return max(believed or episode.starts)


def _fires_anew(episode: EpisodeState, notification: AlertNotification) -> bool:
    if notification.starts_at is None:
        return episode.is_long_left
    return episode.is_left and all(notification.starts_at > known for known in episode.starts)
