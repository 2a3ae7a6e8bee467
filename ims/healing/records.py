"""Storing decisions: the facts, the answers of the guards, and the outcome."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import Answer, Verdict
from ims.healing.models import DecisionOutcome
from ims.policy.schema import HealingRule, Service

_OUTCOMES = {
    Answer.PASS: DecisionOutcome.ALLOWED,
    Answer.DENY: DecisionOutcome.DENIED,
    Answer.WAIT: DecisionOutcome.WAITING,
}


@dataclass(slots=True)
class Decided:
    """A decision about one open episode."""

    episode_id: int
    incident_id: UUID
    alert: str
    """Name of the alert."""
    facts: Facts
    answers: Mapping[str, Verdict]
    """The answer of each guard, by its name and in their order."""
    verdict: Verdict
    attempt: int
    revision: str
    """Digest of the policy; empty without one."""
    parameters: Mapping[str, Any]
    run_id: UUID | None = None
    number: int | None = None
    """The number in the run's name: R-7."""
    is_first: bool = False
    """Whether this is the first decision about the incident with this rule and reason."""

    @property
    def rule(self) -> HealingRule | None:
        """The rule that matched, if one did."""
        return self.facts.rule

    @property
    def service(self) -> Service | None:
        """The service that the alert is about, if it is known."""
        return self.facts.service

    @property
    def rule_name(self) -> str:
        """Name of the rule, empty when none matched."""
        return self.rule.name if self.rule else ""

    @property
    def kind(self) -> tuple[UUID, str, str]:
        """Incident, rule and reason: the timeline has one event for each kind of denial."""
        return (self.incident_id, self.rule_name, self.verdict.reason)


# One statement, whatever their number. A repetition updates count, time, message and `until`; facts and answers stay
# those of the first decision. The caller has locked the incidents, so no concurrent decision can be first as well.
_KEEP = text(
    """
    WITH given AS MATERIALIZED (
        SELECT * FROM ROWS FROM (json_to_recordset(CAST(:decisions AS json)) AS (
            incident_id uuid, episode_id bigint, rule text, attempt integer, revision text, outcome text, reason text,
            message text, facts jsonb, answers jsonb, until timestamptz, run_id uuid
        )) WITH ORDINALITY
    ), kept AS (
        INSERT INTO decision (incident_id, episode_id, rule, attempt, revision, outcome, reason, message, facts,
                              answers, until, run_id, first_at, last_at, count)
        SELECT incident_id, episode_id, rule, attempt, revision, outcome, reason, message, facts, answers, until,
               run_id, :now, :now, 1
        FROM given ORDER BY ordinality
        ON CONFLICT (episode_id, outcome, reason, rule, attempt, revision) DO UPDATE
        SET last_at = excluded.last_at, count = decision.count + 1, until = excluded.until, message = excluded.message
    )
    SELECT incident_id, rule, reason FROM (SELECT DISTINCT incident_id, rule, reason FROM given) AS kinds
    WHERE NOT EXISTS (
        SELECT FROM decision AS before
        WHERE before.incident_id = kinds.incident_id AND before.rule = kinds.rule AND before.reason = kinds.reason)
    """
)


def keep(session: Session, decisions: Sequence[Decided], now: datetime) -> None:
    """Write decisions, and set in each whether it is the first of its kind."""
    if not decisions:
        return
    rows = [_row(decided, now) for decided in decisions]
    new = {tuple(row) for row in session.execute(_KEEP, {"decisions": json.dumps(rows), "now": now})}
    for decided in decisions:
        decided.is_first = decided.kind in new


def _row(decided: Decided, now: datetime) -> dict[str, Any]:
    verdict = decided.verdict
    return {
        "incident_id": str(decided.incident_id),
        "episode_id": decided.episode_id,
        "rule": decided.rule_name,
        "attempt": decided.attempt,
        "revision": decided.revision,
        "outcome": _OUTCOMES[verdict.answer],
        "reason": verdict.reason,
        "message": verdict.message,
        "facts": decided.facts.record(),
        "answers": [_answer(guard, verdict, now) for guard, verdict in decided.answers.items()],
        "until": _until(verdict, now),
        "run_id": str(decided.run_id) if decided.run_id else None,
    }


def _answer(guard: str, verdict: Verdict, now: datetime) -> dict[str, Any]:
    if verdict.answer in (Answer.PASS, Answer.SKIP):
        return {"guard": guard, "answer": verdict.answer}
    answer = {"guard": guard, "answer": verdict.answer, "reason": verdict.reason, "message": verdict.message}
    return {**answer, "until": _until(verdict, now)} if verdict.again else answer


def _until(verdict: Verdict, now: datetime) -> str | None:
    return (now + verdict.again).isoformat() if verdict.again else None
