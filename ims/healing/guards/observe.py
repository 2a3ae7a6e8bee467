"""Does the policy only observe?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, Reason, Verdict, deny, run_guard
from ims.policy.schema import HealingRule, Service


def judge(facts: Facts, rule: HealingRule, service: Service) -> Verdict:
    """Deny, and say what would have run. After all that denies for good, so that it says so truly."""
    if facts.mode == "observe":
        return deny("observe", f"Observed only: {rule.playbook} would have run on {service.name}.")
    return PASS


GUARD: Final = run_guard(
    name="observe",
    sentence="`healing_mode: observe` only says what would have run.",
    reasons=(Reason("observe", "healing only observes", "`healing_mode` is `observe`", PEOPLE),),
    judge=judge,
)
