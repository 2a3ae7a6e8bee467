"""Has the target had its rest?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, Reason, Verdict, left_of, run_guard, wait
from ims.policy.schema import HealingRule, Service


def judge(facts: Facts, rule: HealingRule, service: Service) -> Verdict:
    """Wait until the rule's cooldown since the last run on the target is over."""
    if facts.target_ended_at is None:
        return PASS
    rest = left_of(rule.cooldown, facts.now - facts.target_ended_at)
    if rest is None:
        return PASS
    message = f"The last run on {service.name} ended less than {rule.cooldown:g} s ago."
    return wait("cooldown", message, again=rest)


GUARD: Final = run_guard(
    name="cooldown",
    sentence="Between two runs on a target lie at least `cooldown` seconds.",
    reasons=(
        Reason(
            "cooldown",
            "the last run on this target was too short a time ago",
            "the last run on the target ended too short a time ago",
            "decided again when the time is over",
        ),
    ),
    judge=judge,
)
