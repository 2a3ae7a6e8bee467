"""Guards and their verdicts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from ims.healing.guards.facts import Facts
from ims.policy.schema import HealingRule, Service

ALLOWED: Final = "allowed"
"""The reason of a decision that all guards passed."""
UNDER_WAY: Final = "under_way"
"""The only reason that is not a denial: a run is under way already."""


class Answer(StrEnum):
    """A guard's answer about a run that would start now."""

    PASS = "pass"  # noqa: S105 - no password
    DENY = "deny"
    """Automation will not start this run."""
    WAIT = "wait"
    """Not yet."""
    SKIP = "skip"
    """The guard does not apply: there is no rule, or no service."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of one guard, or of all together: a reason for programs and a message for people."""

    answer: Answer
    reason: str = ""
    message: str = ""
    again: timedelta | None = None
    """For a wait, how soon the decision is repeated; None if the event that ends the wait triggers the repetition."""

    @property
    def is_allowed(self) -> bool:
        """Whether a run may start."""
        return self.answer is Answer.PASS

    @property
    def is_denial(self) -> bool:
        """Whether a guard denies or delays a run that a rule would start."""
        return self.answer in (Answer.DENY, Answer.WAIT) and self.reason != UNDER_WAY

    @property
    def is_final(self) -> bool:
        """Whether automation has nothing left to do for the episode."""
        return self.answer is Answer.DENY


PASS: Final = Verdict(Answer.PASS)
SKIP: Final = Verdict(Answer.SKIP)


def deny(reason: str, message: str) -> Verdict:
    """Automation will not start this run; the incident needs attention."""
    return Verdict(Answer.DENY, reason, message)


def wait(reason: str, message: str, again: timedelta | None = None) -> Verdict:
    """Not now; the decision is repeated after `again`."""
    return Verdict(Answer.WAIT, reason, message, again)


def left_of(period: float | timedelta, passed: timedelta) -> timedelta | None:
    """What is left of a period (a number is in seconds) after `passed`; None when it is over."""
    whole = period if isinstance(period, timedelta) else timedelta(seconds=period)
    return whole - passed if whole > passed else None


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for which a guard denies or waits."""

    name: str
    phrase: str
    """The end of a sentence on a page: "Rule x denied a run: …"."""
    meaning: str
    """Stands in the reference, as is `consequence`."""
    consequence: str


@dataclass(frozen=True, slots=True)
class Guard:
    """One condition of healing. `judge` is pure: facts in, one answer out."""

    name: str
    sentence: str
    """The rule that the guard enforces, for the reference."""
    reasons: tuple[Reason, ...]
    judge: Callable[[Facts], Verdict]


def run_guard(
    name: str, sentence: str, reasons: tuple[Reason, ...], judge: Callable[[Facts, HealingRule, Service], Verdict]
) -> Guard:
    """A guard that judges a rule's run on a service, and answers `skip` without a rule or a service."""

    def judge_run(facts: Facts) -> Verdict:
        if facts.rule is None or facts.service is None:
            return SKIP
        return judge(facts, facts.rule, facts.service)

    return Guard(name, sentence, reasons, judge_run)


PEOPLE: Final = "the incident needs attention"
"""The consequence of every denial."""
