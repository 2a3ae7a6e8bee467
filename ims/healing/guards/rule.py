"""Does a rule match?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, SKIP, Guard, Reason, Verdict, deny

NO_RULE: Final = "no_rule"


def judge(facts: Facts) -> Verdict:
    """Deny a run if no rule matches the alert."""
    if facts.mode is None:
        return SKIP
    return PASS if facts.rule else deny(NO_RULE, "No healing rule matches the alert.")


GUARD: Final = Guard(
    name="rule",
    sentence="The first rule of the policy whose conditions all match the alert starts the run.",
    reasons=(Reason(NO_RULE, "no rule matches", "no rule matches the alert", PEOPLE),),
    judge=judge,
)
