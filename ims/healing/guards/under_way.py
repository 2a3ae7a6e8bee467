"""Is a run for the episode under way already?"""

from datetime import datetime, timedelta
from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, UNDER_WAY, Guard, Reason, Verdict, left_of, wait
from ims.runs.usecases import STILL_FIRING_CHECK


def judge(facts: Facts) -> Verdict:
    """Wait while a run of the episode is not over and, after a run that healed, for the alert to resolve."""
    if any(run.ended_at is None for run in facts.runs):
        return wait(UNDER_WAY, "A run of this episode is under way.")
    patience = time_to_resolve(facts)
    if patience is not None:
        return wait(UNDER_WAY, "Verification passed; the alert may take a while to resolve.", again=patience)
    return PASS


def time_to_resolve(facts: Facts) -> timedelta | None:
    """Time left for the alert to resolve after a verification that passed; None if it is over or none passed."""
    passed = last_passed(facts)
    return None if passed is None else left_of(STILL_FIRING_CHECK, facts.now - passed)


def last_passed(facts: Facts) -> datetime | None:
    """When the last verification of the episode passed."""
    passed = [run.ended_at for run in facts.runs if run.verification_passed and run.ended_at is not None]
    return max(passed, default=None)


GUARD: Final = Guard(
    name="under_way",
    sentence="One run at a time heals an episode; after a run that healed, the alert has ten minutes to resolve.",
    reasons=(
        Reason(
            UNDER_WAY,
            "a run is under way",
            "a run of the episode waits for approval, is queued, running or being verified, or healed the service less "
            "than ten minutes ago",
            "decided again when the run is over, or when the ten minutes are; this is not a denial",
        ),
    ),
    judge=judge,
)
