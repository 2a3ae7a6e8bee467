"""Gaps of a schedule, for people who check a policy: they depend on the schedule only, not on the time of the check."""

from datetime import datetime, timedelta
from typing import Final

from ims.policy.rotations import planned_shifts, reached
from ims.policy.schedules import Schedule

WEEKS: Final = 5
"""Shifts repeat by the week, except for lengths that no gap depends on; so many show every gap of a rotation."""


def describe_gaps(schedule: Schedule) -> str | None:
    """The gaps in the first weeks after the last layer has started, in a sentence; None if there are none."""
    zone = schedule.zone
    starts = max(reached(layer.first_handoff, schedule.zone_of(layer)) for layer in schedule.layers)
    found = [one for one in planned_shifts(schedule, starts, starts + timedelta(weeks=WEEKS)) if one.is_gap]
    if not found:
        return None
    hours = sum((one.ends - one.begins for one in found), timedelta()) / timedelta(hours=WEEKS)

    def shown(instant: datetime) -> str:
        return f"{instant.astimezone(zone):%a %Y-%m-%d %H:%M}"

    first = f"from {shown(found[0].begins)} to {shown(found[0].ends)} ({schedule.timezone})"
    return (
        f"nobody is on call in {hours:.1f} hours of a week; the first gap is {first}. Add a layer without restrictions."
    )
