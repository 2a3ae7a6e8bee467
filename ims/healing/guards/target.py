"""Does the alert name a target?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, SKIP, Guard, Reason, Verdict, deny


def judge(facts: Facts) -> Verdict:
    """Deny a run without a target."""
    if facts.mode is None:
        return SKIP
    if facts.service is None:
        return deny("no_target", "The alert names no service of the inventory, so there is nothing to run on.")
    return PASS


GUARD: Final = Guard(
    name="target",
    sentence="A run has one target: the inventory host of the alert's service.",
    reasons=(
        Reason("no_target", "the alert names no known service", "the alert names no service of the inventory", PEOPLE),
    ),
    judge=judge,
)
