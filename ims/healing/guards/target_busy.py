"""Is another run active on the target?"""

from datetime import timedelta
from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, Reason, Verdict, run_guard, wait
from ims.policy.schema import HealingRule, Service

BUSY_RETRY: Final = timedelta(seconds=2)
"""How soon a decision is repeated when another run is active on the target."""


def busy(target: str) -> Verdict:
    """The answer while another run is active on this target."""
    return wait("target_busy", f"Another run is under way on {target}.", again=BUSY_RETRY)


def judge(facts: Facts, _rule: HealingRule, service: Service) -> Verdict:
    """Wait: two runs on one target at once could undo each other. A unique index of the database enforces it."""
    return busy(service.name) if facts.target_is_busy else PASS


GUARD: Final = run_guard(
    name="target_busy",
    sentence="A target has at most one active run.",
    reasons=(
        Reason(
            "target_busy",
            "another run is active on this target",
            "another run is under way on the target",
            "decided again two seconds later",
        ),
    ),
    judge=judge,
)
