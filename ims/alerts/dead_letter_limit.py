"""How many dead letters a source may fill a table with.

A body of 300 kB can hold 100,000 alerts that are none. Of what has the same reason a few examples tell as much as all
of them, so beyond the limit they are only counted: the dead letter that stands for them says how many, and until when.
"""

from collections.abc import Iterable
from typing import Any, Final

from ims.alerts.notifications import Rejected

MOST_ROWS: Final = 100
"""Dead letters that a source adds in `WINDOW_SECONDS`; one more for each reason that has none yet in that time."""
WINDOW_SECONDS: Final = 600
MOST_EXAMPLES: Final = 20
"""Of one reason in one transaction."""


def as_rows(rejected: Iterable[Rejected]) -> list[dict[str, Any]]:
    """Dead letters to be written: examples of each source and reason, the last of which stands for the rest, too."""
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
