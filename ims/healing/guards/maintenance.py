"""Is a maintenance window open?"""

from datetime import timedelta
from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, Guard, Reason, Verdict, wait

MAINTENANCE: Final = "maintenance"
AGAIN: Final = timedelta(hours=1)
"""How soon at the latest a decision is made again in a window: it may have been ended or changed."""


def judge(facts: Facts) -> Verdict:
    """Wait for the window's end."""
    cover = facts.cover
    if cover is None:
        return PASS
    message = f"Maintenance window {cover.window} is open until {cover.until:%Y-%m-%d %H:%M} UTC."
    return wait(MAINTENANCE, message, again=min(cover.until - facts.now, AGAIN))


GUARD: Final = Guard(
    name="maintenance",
    sentence="Nothing is healed and nobody is notified in a maintenance window; a run that is under way ends in order.",
    reasons=(
        Reason(
            MAINTENANCE,
            "a maintenance window is open",
            "a [maintenance window](../how-to/maintenance.md) covers the alert",
            "nobody is notified; decided again when it ends, and each hour until then",
        ),
    ),
    judge=judge,
)
