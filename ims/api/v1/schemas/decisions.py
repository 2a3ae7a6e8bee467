"""Decisions, as in the API and in `ims decision … --json`."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from ims.core.schemas import Listing, ResponseModel
from ims.healing.guards.verdict import Answer
from ims.healing.models import DecisionOutcome
from ims.healing.queries import ListedDecision


class GuardAnswer(ResponseModel):
    """Result of one guard."""

    guard: str
    answer: Answer
    reason: str | None = None
    message: str | None = None
    until: Annotated[datetime | None, Field(description="For a wait: when the guard is evaluated again.")] = None


class DecisionResponse(ResponseModel):
    """A decision about one firing of an alert. Repeated equal decisions are one entry with a count."""

    decision: Annotated[str, Field(description="Short name.", examples=["D-12"])]
    incident: Annotated[str, Field(examples=["INC-42"])]
    episode: Annotated[int | None, Field(description="The firing of the alert; null in decisions of earlier versions.")]
    rule: Annotated[str | None, Field(description="The rule that matched; null if none did.")]
    attempt: Annotated[int, Field(description="The attempt of the rule.")]
    revision: Annotated[str | None, Field(description="Digest of the policy; null without one.")]
    outcome: DecisionOutcome
    reason: str
    message: str
    until: Annotated[datetime | None, Field(description="For a wait: when IMS decides again.")]
    run: Annotated[str | None, Field(description="The run it started.", examples=["R-7"])]
    guards: Annotated[
        list[GuardAnswer],
        Field(description="Results when first made, in order; empty in decisions of earlier versions."),
    ]
    facts: Annotated[dict[str, Any], Field(description="Facts that the guards evaluated.")]
    first_at: datetime
    last_at: datetime
    count: Annotated[int, Field(description="How often it was made.")]


class DecisionList(Listing[DecisionResponse]):
    """A page of the list of decisions."""


def render_decision(listed: ListedDecision) -> DecisionResponse:
    decision = listed.decision
    return DecisionResponse(
        decision=f"D-{decision.id}",
        incident=f"INC-{listed.incident}",
        episode=decision.episode_id,
        rule=decision.rule or None,
        attempt=decision.attempt,
        revision=decision.revision or None,
        outcome=DecisionOutcome(decision.outcome),
        reason=decision.reason,
        message=decision.message,
        until=decision.until,
        run=f"R-{listed.run}" if listed.run else None,
        guards=[GuardAnswer(**answer) for answer in decision.answers],
        facts=decision.facts,
        first_at=decision.first_at,
        last_at=decision.last_at,
        count=decision.count,
    )
