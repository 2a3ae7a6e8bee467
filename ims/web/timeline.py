"""The timeline on a page: the newest events that fit, in order, with notes rendered as markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.core.errors import NotFound
from ims.incidents.models import TimelineEvent
from ims.incidents.sentences import Sentence, sentence_of
from ims.web.markdown import Prose, read_here

MOST_EVENTS = 120
MOST_CHARACTERS = 55_000
"""Characters of markup on one page: a flapping alert adds events without end, and people paste logs."""
LINE_CHARACTERS = 450
"""Markup of a line without its text."""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of the timeline."""

    event: TimelineEvent
    sentence: Sentence
    prose: Prose | None
    """Text that a user wrote. It replaces the sentence's detail."""

    @property
    def length(self) -> int:
        """Approximate characters of markup."""
        return (
            LINE_CHARACTERS + len(self.sentence.text) + len(self.prose.markup if self.prose else self.sentence.detail)
        )


@dataclass(frozen=True, slots=True)
class Timeline:
    """A part of a timeline. `before` is the number of its first event if there are earlier ones, else None."""

    lines: Sequence[TimelineEntry]
    before: int | None


def read_timeline(session: Session, incident_id: UUID, before: int | None = None) -> Timeline:
    """The newest events before event `before` that fit on a page; at least one if there are any."""
    query = select(TimelineEvent).where(TimelineEvent.incident_id == incident_id)
    if before is not None:
        query = query.where(TimelineEvent.seq < before)
    lines: list[TimelineEntry] = []
    length = 0
    for event in session.scalars(query.order_by(TimelineEvent.seq.desc()).limit(MOST_EVENTS)):
        line = _entry(event)
        length += line.length
        if lines and length > MOST_CHARACTERS:
            break
        lines.append(line)
    first = lines[-1].event.seq if lines else 1
    return Timeline(lines[::-1], first if first > 1 else None)


def _entry(event: TimelineEvent) -> TimelineEntry:
    sentence = sentence_of(event)
    return TimelineEntry(event, sentence, read_here(sentence.detail) if sentence.is_prose and sentence.detail else None)


def text_of(session: Session, incident_id: UUID, seq: int) -> str:
    """The text that a user wrote with an event, as it was typed. Raises `NotFound`."""
    event = session.get(TimelineEvent, (incident_id, seq))
    sentence = sentence_of(event) if event else None
    if sentence is None or not sentence.is_prose:
        raise NotFound("There is no such note.")
    return sentence.detail
