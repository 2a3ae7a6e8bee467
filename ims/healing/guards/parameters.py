"""Does the alert give the playbook what it needs?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, Reason, Verdict, deny, run_guard
from ims.policy.schema import HealingRule, Service


def judge(facts: Facts, _rule: HealingRule, _service: Service) -> Verdict:
    """Deny a run whose declared parameters have no value, or not one of their form."""
    return PASS if facts.parameter_fault is None else deny("parameter", facts.parameter_fault)


GUARD: Final = run_guard(
    name="parameters",
    sentence="A playbook gets the parameters that its rule declares, each in its form.",
    reasons=(
        Reason(
            "parameter",
            "the alert does not give what the playbook needs",
            "the alert does not give a declared parameter, or not in its form",
            PEOPLE,
        ),
    ),
    judge=judge,
)
