"""Is healing switched on?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, Reason, Verdict, deny, run_guard
from ims.policy.schema import HealingRule, Service


def judge(facts: Facts, _rule: HealingRule, _service: Service) -> Verdict:
    """Deny every run when the policy switches healing off."""
    if facts.mode == "off":
        return deny("mode_off", "Healing is switched off in the policy.")
    return PASS


GUARD: Final = run_guard(
    name="mode",
    sentence="`healing_mode: off` stops all healing.",
    reasons=(Reason("mode_off", "healing is switched off", "`healing_mode` is `off`", PEOPLE),),
    judge=judge,
)
