"""Does the alert still fire after the service was verified healthy?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.under_way import last_passed, time_to_resolve
from ims.healing.guards.verdict import PASS, PEOPLE, Guard, Reason, Verdict, deny


def judge(facts: Facts) -> Verdict:
    """Deny another run on a service that is healthy."""
    if last_passed(facts) is None or time_to_resolve(facts) is not None:
        return PASS
    message = "Verification passed, but the alert still fires. Check the alert's expression."
    return deny("still_firing", message)


GUARD: Final = Guard(
    name="still_firing",
    sentence="IMS does not heal a service that it has verified healthy again, however long the alert fires.",
    reasons=(
        Reason(
            "still_firing",
            "verification passed, but the alert still fires",
            "verification passed, and ten minutes later the alert still fires",
            PEOPLE,
        ),
    ),
    judge=judge,
)
