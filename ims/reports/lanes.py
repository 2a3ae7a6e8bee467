"""Swim lanes: the lifelines of many incidents on one time axis, with a lane for each service.

Pure and of bounded size: a lane is a row of cells, and each cell shows the phase of the highest precedence in it, so
that ten incidents at one moment need no more markup than one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from ims.reports.lifeline import Lifeline, MarkKind, Phase

CELLS: Final = 960
"""Cells of a lane; on a lane of one day each is a minute and a half."""
LEAST: Final = 12
"""Least width of an incident in cells: half a minute of healing must be visible on a lane of one day."""
APART: Final = 4
"""Least distance in cells between incidents that get separate spots."""

# Healing and verifying have the same colour here: a verification lasts seconds.
_DRAWN_AS: Final = {Phase.VERIFYING: Phase.HEALING}
_PRECEDENCE: Final = (Phase.WAITING, Phase.HEALTHY, Phase.HEALING, Phase.PEOPLE)
"""Where incidents overlap, the later one of these is drawn."""
_RANK: Final = {phase: rank for rank, phase in enumerate(_PRECEDENCE)}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring cells of one phase."""

    phase: Phase
    begins: int
    length: int


@dataclass(frozen=True, slots=True)
class Spot:
    """An area to point at with its incidents, by their index in the given ones. In fractions of the lane."""

    left: float
    width: float
    incidents: Sequence[int]


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane. `ticks` mark the ends of incidents that were verified healthy, in fractions of the lane."""

    stretches: Sequence[Stretch]
    ticks: Sequence[float]
    spots: Sequence[Spot]

    @property
    def paths(self) -> Mapping[Phase, str]:
        """SVG paths in a view of `CELLS` by 20: waiting and healthy are thin lines, work on the incident is a block."""
        found: dict[Phase, list[str]] = {}
        for stretch in self.stretches:
            top, height = (9, 3) if stretch.phase in (Phase.WAITING, Phase.HEALTHY) else (4, 12)
            path = f"M{stretch.begins} {top}h{stretch.length}v{height}h-{stretch.length}z"
            found.setdefault(stretch.phase, []).append(path)
        return {phase: "".join(parts) for phase, parts in found.items()}


def lay(lifelines: Sequence[Lifeline], begins: datetime, ends: datetime) -> Lane:
    """The lane with these lifelines between two moments; parts outside are cut off."""
    cells: list[Phase | None] = [None] * CELLS
    ticks: set[int] = set()
    places: list[tuple[int, int, int]] = []
    for number, line in enumerate(lifelines):
        left, width = _place(line, begins, ends)
        for segment in line.segments:
            _fill(cells, left + segment.left * width, left + (segment.left + segment.width) * width, segment.phase)
        # At the end of the incident: on a lane of one day the exact moment would be inside the block of the run.
        ticks |= {_cell(left + width) for mark in line.marks if mark.kind is MarkKind.HEALTHY}
        places.append((_cell(left), _cell(left + width), number))
    shown = sorted(tick for tick in ticks if tick)
    return Lane(_stretches(cells), [tick / CELLS for tick in _thinned(shown)], _spots(places))


def _place(line: Lifeline, begins: datetime, ends: datetime) -> tuple[float, float]:
    """Left edge and width in cells. An incident too short to see is widened; at the end of the lane, to the left."""
    scale = CELLS / (ends - begins).total_seconds()
    width = max(line.seconds * scale, LEAST)
    return min((line.begins - begins).total_seconds() * scale, CELLS - width), width


def _cell(place: float) -> int:
    return max(0, min(CELLS, round(place)))


def _fill(cells: list[Phase | None], left: float, right: float, phase: Phase) -> None:
    drawn = _DRAWN_AS.get(phase, phase)
    for cell in range(_cell(left), _cell(right)):
        before = cells[cell]
        if before is None or _RANK[before] < _RANK[drawn]:
            cells[cell] = drawn


def _stretches(cells: Sequence[Phase | None]) -> list[Stretch]:
    found, begins = [], 0
    for phase, same in groupby(cells):
        length = len(list(same))
        if phase is not None:
            found.append(Stretch(phase, begins, length))
        begins += length
    return found


def _thinned(ticks: Sequence[int]) -> list[int]:
    """The ticks without those that would overlap an earlier one."""
    kept: list[int] = []
    for tick in ticks:
        if not kept or tick - kept[-1] >= LEAST:
            kept.append(tick)
    return kept


def _spots(places: Sequence[tuple[int, int, int]]) -> list[Spot]:
    """Incidents that touch each other share a spot."""
    spots: list[tuple[int, int, list[int]]] = []
    for left, right, number in sorted(places):
        if spots and left < spots[-1][1] + APART:
            begin, end, numbers = spots[-1]
            spots[-1] = (begin, max(end, right), [*numbers, number])
        elif right > left:
            spots.append((left, right, [number]))
    return [Spot(left / CELLS, (right - left) / CELLS, numbers) for left, right, numbers in spots]
