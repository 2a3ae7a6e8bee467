"""Does a rule match?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, SKIP, Guard, Reason, Verdict, deny

NO_RULE: Final = "no_rule"


def judge(facts: Facts) -> Verdict:
    """Deny what no rule is meant for."""
    if facts.mode is None:
        return SKIP
    return PASS if facts.rule else deny(NO_RULE, "No healing rule matches the alert.")


GUARD: Final = Guard(
    name="rule",
    sentence="A run is made by the first rule of the policy whose conditions all hold for the alert.",
    reasons=(Reason(NO_RULE, "no rule matches", "no rule matches the alert", PEOPLE),),
    judge=judge,
)
