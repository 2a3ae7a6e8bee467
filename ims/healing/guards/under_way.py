"""Is automation at work on the episode already?"""

from datetime import datetime, timedelta
from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, UNDER_WAY, Guard, Reason, Verdict, left_of, wait
from ims.runs.usecases import STILL_FIRING_CHECK


def judge(facts: Facts) -> Verdict:
    """Wait while a run of the episode is not over, and for the alert's resolve after one that healed."""
    if any(run.ended_at is None for run in facts.runs):
        return wait(UNDER_WAY, "A run of this episode is under way.")
    patience = time_to_resolve(facts)
    if patience is not None:
        return wait(UNDER_WAY, "Verification passed; the alert's resolve may take a while.", again=patience)
    return PASS


def time_to_resolve(facts: Facts) -> timedelta | None:
    """What is left of the time that an alert gets to resolve after a verification that passed."""
    passed = last_passed(facts)
    return None if passed is None else left_of(STILL_FIRING_CHECK, facts.now - passed)


def last_passed(facts: Facts) -> datetime | None:
    """When the last verification of the episode passed."""
    passed = [run.ended_at for run in facts.runs if run.verification_passed and run.ended_at is not None]
    return max(passed, default=None)


GUARD: Final = Guard(
    name="under_way",
    sentence="An episode is healed by one run at a time; after one that healed its alert gets ten minutes to resolve.",
    reasons=(
        Reason(
            UNDER_WAY,
            "a run is under way",
            "a run of the episode waits for approval, is queued, running or being verified, or it healed the service a "
            "moment ago",
            "decided again when the run is over, or when the alert had its time; this is no denial",
        ),
    ),
    judge=judge,
)
