"""The timeline as a page shows it: the newest events that fit, in their order, with what people wrote as markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.core.errors import NotFound
from ims.incidents.models import TimelineEvent
from ims.incidents.sentences import Sentence, sentence_of
from ims.web.markdown import Prose, read

MOST_EVENTS = 120
MOST_CHARACTERS = 55_000
"""Of markup on one page; an alert that flaps writes for ever, and a person may paste a log."""
LINE_CHARACTERS = 450
"""What a line needs beside its words."""


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the timeline."""

    event: TimelineEvent
    sentence: Sentence
    prose: Prose | None
    """What a person wrote; the sentence's detail is not shown then."""

    @property
    def length(self) -> int:
        """Characters of markup, about."""
        return (
            LINE_CHARACTERS + len(self.sentence.text) + len(self.prose.markup if self.prose else self.sentence.detail)
        )


@dataclass(frozen=True, slots=True)
class Timeline:
    """A stretch of a timeline. `before` is the number of its first event if there are earlier ones."""

    lines: Sequence[Told]
    before: int | None


def tell(session: Session, incident_id: UUID, before: int | None = None) -> Timeline:
    """The newest lines that fit on a page, of those before event `before`; at least one if there is any."""
    query = select(TimelineEvent).where(TimelineEvent.incident_id == incident_id)
    if before is not None:
        query = query.where(TimelineEvent.seq < before)
    lines: list[Told] = []
    length = 0
    for event in session.scalars(query.order_by(TimelineEvent.seq.desc()).limit(MOST_EVENTS)):
        line = _told(event)
        length += line.length
        if lines and length > MOST_CHARACTERS:
            break
        lines.append(line)
    first = lines[-1].event.seq if lines else 1
    return Timeline(lines[::-1], first if first > 1 else None)


def _told(event: TimelineEvent) -> Told:
    sentence = sentence_of(event)
    return Told(event, sentence, read(sentence.detail) if sentence.is_prose and sentence.detail else None)


def text_of(session: Session, incident_id: UUID, seq: int) -> str:
    """What a person wrote with an event, as it was typed. Raises `NotFound`."""
    event = session.get(TimelineEvent, (incident_id, seq))
    sentence = sentence_of(event) if event else None
    if sentence is None or not sentence.is_prose:
        raise NotFound("There is no such note.")
    return sentence.detail
