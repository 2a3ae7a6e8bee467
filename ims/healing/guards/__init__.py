"""Guards: whether a rule may start its playbook now.

Each guard is a module of its own. All of them are asked for each decision, and what each said is kept; the first that
objects is the outcome. A new guard is a module here, its line in `GUARDS`, its test, and the reference made anew:
`python -m ims.healing.guards.reference > docs/reference/guards.md`.
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
    # What makes a run pointless comes first, what only delays it last.
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
"""In the order in which they count."""

_WORDS: Final = {reason.name: reason.words for guard in GUARDS for reason in guard.reasons}


def ask(facts: Facts) -> dict[str, Verdict]:
    """What each guard says about one open episode, by its name and in their order."""
    return {guard.name: guard.judge(facts) for guard in GUARDS}


def conclude(answers: dict[str, Verdict], facts: Facts) -> Verdict:
    """What they come to together: the first objection, or else that the run is allowed."""
    for verdict in answers.values():
        if verdict.answer in (Answer.DENY, Answer.WAIT):
            return verdict
    playbook = facts.rule.playbook if facts.rule else ""
    service = facts.service.name if facts.service else ""
    return Verdict(Answer.PASS, ALLOWED, f"{playbook} may run on {service}.")


def judge(facts: Facts) -> Verdict:
    """Decide about one open episode."""
    return conclude(ask(facts), facts)


def in_words(reason: str) -> str:
    """A reason as the end of a sentence; one that no guard knows any more is told by its name."""
    return _WORDS.get(reason, reason.replace("_", " "))
