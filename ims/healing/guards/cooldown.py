"""Is the target's cooldown over?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, Reason, Verdict, left_of, run_guard, wait
from ims.policy.schema import HealingRule, Service


def judge(facts: Facts, rule: HealingRule, service: Service) -> Verdict:
    """Wait until the rule's cooldown since the last run on the target is over."""
    if facts.target_ended_at is None:
        return PASS
    remaining = left_of(rule.cooldown, facts.now - facts.target_ended_at)
    if remaining is None:
        return PASS
    message = f"The last run on {service.name} ended less than {rule.cooldown:g} s ago."
    return wait("cooldown", message, again=remaining)


GUARD: Final = run_guard(
    name="cooldown",
    sentence="Two runs on a target are at least `cooldown` seconds apart.",
    reasons=(
        Reason(
            "cooldown",
            "the target is cooling down after its last run",
            "the last run on the target ended less than `cooldown` seconds ago",
            "decided again when the cooldown is over",
        ),
    ),
    judge=judge,
)
