"""Is a maintenance window open?"""

from datetime import timedelta
from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, Guard, Reason, Verdict, wait

MAINTENANCE: Final = "maintenance"
AGAIN: Final = timedelta(hours=1)
"""During a window a decision is repeated at least this often: somebody may have ended or changed the window."""


def judge(facts: Facts) -> Verdict:
    """Wait for the window's end."""
    cover = facts.cover
    if cover is None:
        return PASS
    message = f"Maintenance window {cover.window} is open until {cover.until:%Y-%m-%d %H:%M} UTC."
    return wait(MAINTENANCE, message, again=min(cover.until - facts.now, AGAIN))


GUARD: Final = Guard(
    name="maintenance",
    sentence="During a maintenance window IMS neither heals nor notifies; a run that is under way finishes normally.",
    reasons=(
        Reason(
            MAINTENANCE,
            "a maintenance window is open",
            "a [maintenance window](../how-to/maintenance.md) covers the alert",
            "no notification is sent; decided again every hour and when the window ends",
        ),
    ),
    judge=judge,
)
