"""Is a policy active?"""

from datetime import timedelta
from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, Guard, Reason, Verdict, wait

RETRY: Final = timedelta(seconds=10)


def judge(facts: Facts) -> Verdict:
    """Wait for the first policy: an alert may arrive before it is loaded."""
    if facts.mode is None:
        return wait("no_policy", "No policy is active: run `ims admin policy load`.", again=RETRY)
    return PASS


GUARD: Final = Guard(
    name="policy",
    sentence="Healing needs an active policy.",
    reasons=(Reason("no_policy", "no policy is active", "no policy is active", "decided again ten seconds later"),),
    judge=judge,
)
