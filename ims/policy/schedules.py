"""On-call schedules as the policy describes them: layers of rotations.

Each layer is a rotation of people, possibly restricted to weekdays and hours. A later layer takes precedence over an
earlier one wherever it has somebody on call. `rotations.py` calculates the shifts.
"""

import re
from datetime import date, datetime, time
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, StrictStr, Tag, model_validator

from ims.core.timezones import time_zone
from ims.policy.parts import Name, PolicyPart, Text, fault
from ims.policy.windows import EARLIEST_YEAR, LATEST_YEAR, Zone

PERSON_LENGTH: Final = 64
MOST_PEOPLE: Final = 100
MOST_LAYERS: Final = 20
LONGEST_SHIFT_DAYS: Final = 92
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_PERSON: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LOCAL_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def _check_person(name: str) -> str:
    if not _PERSON.fullmatch(name) or len(name) > PERSON_LENGTH:
        raise fault(f"{name[:PERSON_LENGTH]!r} is not the name of an account: write one such as alice.")
    return name


def _read_local_time(given: Any) -> Any:
    # YAML 1.1 reads 10:00 without quotes as the number 600, and 09:00 as text.
    if not isinstance(given, str) or not _LOCAL_TIME.fullmatch(given):
        raise fault('must be a local time in quotes, such as "09:00".')
    return given


def _read_date(given: Any) -> Any:
    if isinstance(given, date):
        return given
    try:
        if not isinstance(given, str) or not _DATE.fullmatch(given):
            raise ValueError
        day = date.fromisoformat(given)
    except ValueError:
        raise fault("must be a date such as 2026-01-05.") from None
    if not EARLIEST_YEAR <= day.year <= LATEST_YEAR:
        raise fault(f"must be between the years {EARLIEST_YEAR} and {LATEST_YEAR}.")
    return day


Person = Annotated[StrictStr, AfterValidator(_check_person)]
LocalTime = Annotated[StrictStr, BeforeValidator(_read_local_time)]
Day = Annotated[date, BeforeValidator(_read_date)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_Days = Annotated[int, Field(ge=1, le=LONGEST_SHIFT_DAYS)]


class EveryHours(PolicyPart):
    """Shifts of a number of hours on the local clock."""

    hours: int = Field(ge=1, le=LONGEST_SHIFT_DAYS * 24)


class DaysInTurn(PolicyPart):
    """Shifts whose lengths in days take turns: `[5, 2]` is the working week, then the weekend."""

    days: Annotated[tuple[_Days, ...], Field(min_length=1, max_length=MOST_PEOPLE)]


def _kind_of_rotation(given: Any) -> str:
    if isinstance(given, dict):
        return "<days>" if "days" in given else "<hours>"
    if isinstance(given, DaysInTurn):
        return "<days>"
    return "<hours>" if isinstance(given, EveryHours) else "<word>"


Rotation = Annotated[
    Annotated[Literal["daily", "weekly"], Tag("<word>")]
    | Annotated[EveryHours, Tag("<hours>")]
    | Annotated[DaysInTurn, Tag("<days>")],
    Discriminator(_kind_of_rotation),
]


class Restriction(PolicyPart):
    """Weekdays and hours in which a layer is on call. If `to` is not later than `from`, it is on the next day."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = WEEKDAYS
    """The days on which it begins."""
    begins: LocalTime = Field(default="00:00", alias="from")
    ends: LocalTime = Field(default="00:00", alias="to")


class Layer(PolicyPart):
    """People who take turns."""

    name: Name
    people: Annotated[tuple[Person, ...], Field(min_length=1, max_length=MOST_PEOPLE)]
    """Accounts, in the order of their shifts; one account may stand in it more than once."""
    rotation: Rotation = "weekly"
    """How long a shift is: `daily`, `weekly`, `{hours: N}` or `{days: [5, 2]}`."""
    starts: Day
    """The day of the first handoff, with which the first person's shift begins."""
    ends: Day | None = None
    """The day on which the layer ends, at the handoff time."""
    handoff: LocalTime = "09:00"
    timezone: Zone | None = None
    """Time zone of the handoff and the restrictions. Default: the schedule's."""
    restrictions: Annotated[tuple[Restriction, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if self.ends is not None and self.ends <= self.starts:
            raise fault("`ends` must be later than `starts`.")
        return self

    @cached_property
    def first_handoff(self) -> datetime:
        """Local time of the first handoff, without a zone."""
        return datetime.combine(self.starts, time.fromisoformat(self.handoff))

    @cached_property
    def last_handoff(self) -> datetime | None:
        """Local time at which the layer ends, without a zone."""
        return None if self.ends is None else datetime.combine(self.ends, time.fromisoformat(self.handoff))

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the shifts in hours of the local clock, which take turns."""
        match self.rotation:
            case "daily":
                return (24,)
            case "weekly":
                return (7 * 24,)
            case EveryHours():
                return (self.rotation.hours,)
            case _:
                return tuple(24 * days for days in self.rotation.days)


class Schedule(PolicyPart):
    """Who is on call when."""

    name: Name
    team: Text | None = None
    """Team that the schedule belongs to: its members may override it."""
    description: Text | None = None
    timezone: Zone = "UTC"
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=MOST_LAYERS)]

    @model_validator(mode="after")
    def _has_names(self) -> Self:
        names = [layer.name for layer in self.layers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise fault(f"has several layers {twice[0]!r}: rename one of them.")
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        return time_zone(self.timezone)

    def zone_of(self, layer: Layer) -> ZoneInfo:
        """The time zone of a layer's handoffs and restrictions."""
        return time_zone(layer.timezone or self.timezone)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Everybody in the layers, each once, by name."""
        return tuple(sorted({person for layer in self.layers for person in layer.people}))
