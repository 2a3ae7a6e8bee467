"""Limits of the dead letters that are stored for one source.

A body of 300 kB can hold 100,000 invalid alerts, and a few examples of each reason tell as much as all of them. Beyond
the limits, dead letters are only counted: one stored dead letter of the same source and reason has their number in
`occurrences`, and the time of the last one.
"""

from collections.abc import Iterable
from typing import Any, Final

from ims.alerts.notifications import Rejected

MOST_ROWS: Final = 100
"""Maximum dead letters of a source in `WINDOW_SECONDS`, plus one for each reason that has none in that time."""
WINDOW_SECONDS: Final = 600
MOST_EXAMPLES: Final = 20
"""Maximum number of dead letters of one source and reason in one transaction."""


def as_rows(rejected: Iterable[Rejected]) -> list[dict[str, Any]]:
    """The dead letters to store: examples of each source and reason. The last example counts those left out."""
    rows: list[dict[str, Any]] = []
    examples: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number, one in enumerate(rejected):
        of_reason = examples.setdefault((one.source, one.reason.value), [])
        if len(of_reason) == MOST_EXAMPLES:
            of_reason[-1]["occurrences"] += 1
            continue
        row = {
            "n": number,
            "source": one.source,
            "reason": one.reason.value,
            "body": one.body,
            "details": {"message": one.message, "place": one.place},
            "occurrences": 1,
        }
        of_reason.append(row)
        rows.append(row)
    return rows
