"""Does the alert come and go?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, Reason, Verdict, deny, run_guard
from ims.policy.schema import HealingRule, Service


def judge(facts: Facts, _rule: HealingRule, _service: Service) -> Verdict:
    """Deny another run that would not last either."""
    if facts.is_flapping:
        return deny("flapping", "The alert comes and goes: another run of the same kind would not last.")
    return PASS


GUARD: Final = run_guard(
    name="flapping",
    sentence="A flapping alert is not healed again and again; `flapping: {heal: true}` lets rules go on.",
    reasons=(
        Reason(
            "flapping",
            "the alert comes and goes",
            "the alert comes and goes ([more](../how-to/maintenance.md#flapping))",
            PEOPLE,
        ),
    ),
    judge=judge,
)
