"""Does the policy only observe?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, Reason, Verdict, deny, run_guard
from ims.policy.schema import HealingRule, Service


def judge(facts: Facts, rule: HealingRule, service: Service) -> Verdict:
    """Deny, and name what would have run.

    Runs after all guards that deny for good; otherwise it would name runs that another guard denies.
    """
    if facts.mode == "observe":
        return deny("observe", f"Observed only: {rule.playbook} would have run on {service.name}.")
    return PASS


GUARD: Final = run_guard(
    name="observe",
    sentence="With `healing_mode: observe` IMS only records what would have run.",
    reasons=(Reason("observe", "healing only observes", "`healing_mode` is `observe`", PEOPLE),),
    judge=judge,
)
