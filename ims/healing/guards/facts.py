"""The facts that a decision is based on. Guards read nothing else: no clock, no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ims.policy.schema import HealingMode, HealingRule, Service
from ims.policy.windows import Cover
from ims.runs.models import RunOutcome

MOST_RUNS: Final = 20
"""How many earlier runs a decision records, newest first. A rule makes at most twenty attempts."""
MOST_CHARACTERS: Final = 300
"""Longest text that a decision records."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """An earlier run of the episode, as guards see it."""

    rule: str
    attempt: int
    outcome: str
    was_started: bool
    verification_passed: bool
    ended_at: datetime | None
    """When its outcome became final, verification included; None while the run is under way."""
    cut_short: bool = False
    """Whether one of its tasks may have been interrupted."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about one open episode at the moment of its decision."""

    mode: HealingMode | None
    """None if no policy is active; then no other fact about the policy is known."""
    rule: HealingRule | None
    service: Service | None
    opened_at: datetime
    runs: Sequence[PastRun]
    """Earlier runs of the episode."""
    target_is_busy: bool
    """Another run is active on the target."""
    target_ended_at: datetime | None
    """When the last run on the target ended, whatever started it."""
    parameter_fault: str | None
    now: datetime
    cover: Cover | None = None
    """The maintenance window that covers the alert now."""
    is_flapping: bool = False
    """The incident is flapping, and the policy does not allow healing flapping incidents."""

    def runs_of_rule(self) -> list[PastRun]:
        """Earlier runs of the rule that matches now."""
        return [run for run in self.runs if self.rule is not None and run.rule == self.rule.name]

    def record(self) -> dict[str, Any]:
        """The facts as a decision stores them: JSON of a bounded size.

        It contains nothing that a sender wrote (labels, annotations, values of parameters), since any of it may be a
        secret.
        """
        rule, service, cover = self.rule, self.service, self.cover
        return {
            "now": self.now.isoformat(),
            "opened_at": self.opened_at.isoformat(),
            "healing_mode": self.mode,
            "rule": rule and {
                "name": rule.name, "playbook": rule.playbook, "attempts": rule.attempts, "cooldown": rule.cooldown,
                "safe_to_repeat": rule.safe_to_repeat, "within": rule.verify.within,
            },
            "service": service and {"name": service.name, "service_recovery": service.service_recovery},
            "runs": [_record_run(run) for run in self.runs[-MOST_RUNS:]],
            "target_is_busy": self.target_is_busy,
            "target_ended_at": _instant(self.target_ended_at),
            "parameter_fault": self.parameter_fault and self.parameter_fault[:MOST_CHARACTERS],
            "maintenance": cover and {"window": cover.window[:MOST_CHARACTERS], "until": cover.until.isoformat()},
            "is_flapping": self.is_flapping,
        }  # fmt: skip


def next_attempt(facts: Facts) -> int:
    """Number of the next attempt of the rule at the episode, from 1."""
    return 1 + max((run.attempt for run in facts.runs_of_rule()), default=0)


def _record_run(run: PastRun) -> dict[str, Any]:
    return {
        "rule": run.rule,
        "attempt": run.attempt,
        "outcome": RunOutcome(run.outcome).value,
        "was_started": run.was_started,
        "verification_passed": run.verification_passed,
        "ended_at": _instant(run.ended_at),
        "cut_short": run.cut_short,
    }


def _instant(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
