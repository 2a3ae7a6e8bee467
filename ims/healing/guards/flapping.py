"""Is the alert flapping?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, Reason, Verdict, deny, run_guard
from ims.policy.schema import HealingRule, Service


def judge(facts: Facts, _rule: HealingRule, _service: Service) -> Verdict:
    """Deny another run: earlier ones did not fix the alert for long."""
    if facts.is_flapping:
        return deny("flapping", "The alert is flapping: another run would not fix it for long.")
    return PASS


GUARD: Final = run_guard(
    name="flapping",
    sentence="IMS does not heal a flapping alert repeatedly, unless the policy says `flapping: {heal: true}`.",
    reasons=(
        Reason(
            "flapping",
            "the alert is flapping",
            "the alert is [flapping](../how-to/maintenance.md#flapping)",
            PEOPLE,
        ),
    ),
    judge=judge,
)
