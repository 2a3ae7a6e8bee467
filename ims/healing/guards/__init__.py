"""Guards: whether a rule may start its playbook now.

Each guard is a module of its own. Every decision evaluates all of them and stores each answer; the first guard that
denies or waits determines the outcome. To add a guard, write its module here, add it to `GUARDS`, write its test, and
regenerate the reference: `python -m ims.healing.guards.reference > docs/reference/guards.md`.
"""

from typing import Final

from ims.healing.guards import (
    attempts,
    cooldown,
    flapping,
    maintenance,
    mode,
    not_repeatable,
    observe,
    parameters,
    policy,
    recovery,
    rule,
    still_firing,
    target,
    target_busy,
    under_way,
)
from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import ALLOWED, Answer, Guard, Verdict

GUARDS: Final[tuple[Guard, ...]] = (
    # Guards that make a run pointless come first, guards that only delay it last.
    policy.GUARD,
    under_way.GUARD,
    maintenance.GUARD,
    still_firing.GUARD,
    rule.GUARD,
    target.GUARD,
    mode.GUARD,
    recovery.GUARD,
    parameters.GUARD,
    flapping.GUARD,
    attempts.GUARD,
    not_repeatable.GUARD,
    observe.GUARD,
    target_busy.GUARD,
    cooldown.GUARD,
)
"""In order of precedence."""

_PHRASES: Final = {reason.name: reason.phrase for guard in GUARDS for reason in guard.reasons}


def evaluate(facts: Facts) -> dict[str, Verdict]:
    """The answer of each guard about one open episode, by the guard's name, in order of precedence."""
    return {guard.name: guard.judge(facts) for guard in GUARDS}


def conclude(answers: dict[str, Verdict], facts: Facts) -> Verdict:
    """The outcome of all answers: the first denial or wait; without one the run is allowed."""
    for verdict in answers.values():
        if verdict.answer in (Answer.DENY, Answer.WAIT):
            return verdict
    playbook = facts.rule.playbook if facts.rule else ""
    service = facts.service.name if facts.service else ""
    return Verdict(Answer.PASS, ALLOWED, f"{playbook} may run on {service}.")


def judge(facts: Facts) -> Verdict:
    """Decide about one open episode."""
    return conclude(evaluate(facts), facts)


def phrase_of(reason: str) -> str:
    """A reason as the end of a sentence; a reason that no guard has any more is shown by its name."""
    return _PHRASES.get(reason, reason.replace("_", " "))
