"""Shifts as an iCalendar file (RFC 5545). Pure."""

import hashlib
from datetime import datetime

from icalendar import Calendar, Event

from ims.oncall.feeds import FeedContent
from ims.policy.rotations import Shift


def to_ical(content: FeedContent, now: datetime) -> bytes:
    """One event for each shift; gaps are events, too, so that they are seen."""
    calendar = Calendar()
    calendar.add("prodid", "-//IMS//On call//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", content.title)
    for schedule, shift in content.shifts:
        calendar.add_component(_event(schedule, shift, now))
    written: bytes = calendar.to_ical()
    return written


def _event(schedule: str, shift: Shift, now: datetime) -> Event:
    event = Event()
    # The same shift keeps its identity, so that a calendar updates its event and adds no second one.
    identity = f"{schedule} {shift.begins.isoformat()}"
    event.add("uid", f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}@ims")
    event.add("dtstamp", now.replace(microsecond=0))
    event.add("dtstart", shift.begins.replace(microsecond=0))
    event.add("dtend", shift.ends.replace(microsecond=0))
    event.add("summary", f"{shift.person or 'Nobody'} on call: {schedule}")
    if shift.override is not None:
        event.add("description", f"Override {shift.override}")
    # Being on call is no meeting: the time stays free.
    event.add("transp", "TRANSPARENT")
    return event
