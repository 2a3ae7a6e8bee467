"""What a guard may say, and what a guard is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from ims.healing.guards.facts import Facts
from ims.policy.schema import HealingRule, Service

ALLOWED: Final = "allowed"
"""The reason of a decision that no guard objected to."""
UNDER_WAY: Final = "under_way"
"""The one objection that denies nothing: automation is at work already."""


class Answer(StrEnum):
    """What a guard says about a run that would start now."""

    PASS = "pass"  # noqa: S105 - no password
    DENY = "deny"
    """Never: automation will not do it."""
    WAIT = "wait"
    """Not yet."""
    SKIP = "skip"
    """It has nothing to judge: there is no rule, or no service."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one guard says, or all of them together: a reason for programs, a sentence for people, when to ask again."""

    answer: Answer
    reason: str = ""
    message: str = ""
    again: timedelta | None = None
    """Of a wait, how soon the decision is made again; None: whatever ends the wait asks for the next decision."""

    @property
    def is_allowed(self) -> bool:
        """Whether a run may start."""
        return self.answer is Answer.PASS

    @property
    def is_denial(self) -> bool:
        """Whether a run that a rule would make does not start, for now or for good."""
        return self.answer in (Answer.DENY, Answer.WAIT) and self.reason != UNDER_WAY

    @property
    def is_final(self) -> bool:
        """Whether automation has nothing left to do for the episode."""
        return self.answer is Answer.DENY


PASS: Final = Verdict(Answer.PASS)
SKIP: Final = Verdict(Answer.SKIP)


def deny(reason: str, message: str) -> Verdict:
    """Automation will not do it; people have to look."""
    return Verdict(Answer.DENY, reason, message)


def wait(reason: str, message: str, again: timedelta | None = None) -> Verdict:
    """Not now; the decision is made again after `again`."""
    return Verdict(Answer.WAIT, reason, message, again)


def left_of(period: float | timedelta, passed: timedelta) -> timedelta | None:
    """What is left of a period, in seconds or as it is; None when it is over."""
    whole = period if isinstance(period, timedelta) else timedelta(seconds=period)
    return whole - passed if whole > passed else None


@dataclass(frozen=True, slots=True)
class Reason:
    """One objection that a guard may have."""

    name: str
    words: str
    """The end of a sentence on a page: "Rule x refused a run: …"."""
    meaning: str
    """For the reference, as are its consequences."""
    consequence: str


@dataclass(frozen=True, slots=True)
class Guard:
    """One condition of healing. `judge` is pure: facts in, one answer out."""

    name: str
    sentence: str
    """What it sees to, for the reference."""
    reasons: tuple[Reason, ...]
    judge: Callable[[Facts], Verdict]


def run_guard(
    name: str, sentence: str, reasons: tuple[Reason, ...], judge: Callable[[Facts, HealingRule, Service], Verdict]
) -> Guard:
    """A guard that judges a rule's run on a service, and has nothing to say without either."""

    def judge_run(facts: Facts) -> Verdict:
        if facts.rule is None or facts.service is None:
            return SKIP
        return judge(facts, facts.rule, facts.service)

    return Guard(name, sentence, reasons, judge_run)


PEOPLE: Final = "the incident needs attention"
"""The consequence of every denial."""
