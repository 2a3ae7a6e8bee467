"""Does the alert provide the playbook's parameters?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, Reason, Verdict, deny, run_guard
from ims.policy.schema import HealingRule, Service


def judge(facts: Facts, _rule: HealingRule, _service: Service) -> Verdict:
    """Deny a run if a declared parameter has no value, or an invalid one."""
    return PASS if facts.parameter_fault is None else deny("parameter", facts.parameter_fault)


GUARD: Final = run_guard(
    name="parameters",
    sentence="A playbook gets every parameter that its rule declares, with a valid value.",
    reasons=(
        Reason(
            "parameter",
            "a parameter of the playbook is missing or invalid",
            "the alert does not provide a declared parameter, or its value is invalid",
            PEOPLE,
        ),
    ),
    judge=judge,
)
