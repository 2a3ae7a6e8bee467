"""A decision as programs see it: the same in the API and in `ims decision … --json`."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from ims.core.schemas import Listing, ResponseModel
from ims.healing.guards.verdict import Answer
from ims.healing.models import DecisionOutcome
from ims.healing.queries import ListedDecision


class GuardAnswer(ResponseModel):
    """What one guard said."""

    guard: str
    answer: Answer
    reason: str | None = None
    message: str | None = None
    until: Annotated[datetime | None, Field(description="Of a wait: when the guard is asked again.")] = None


class DecisionResponse(ResponseModel):
    """What was decided about one time an alert fired. Equal decisions are one that counts."""

    decision: Annotated[str, Field(description="People's name for it.", examples=["D-12"])]
    incident: Annotated[str, Field(examples=["INC-42"])]
    episode: Annotated[
        int | None, Field(description="The one time the alert fired; null in what earlier versions counted.")
    ]
    rule: Annotated[str | None, Field(description="The rule that matched; null if none did.")]
    attempt: Annotated[int, Field(description="The attempt of the rule that was decided about.")]
    revision: Annotated[str | None, Field(description="Digest of the policy; null without one.")]
    outcome: DecisionOutcome
    reason: str
    message: str
    until: Annotated[datetime | None, Field(description="Of a wait: when it is decided again.")]
    run: Annotated[str | None, Field(description="The run it made.", examples=["R-7"])]
    guards: Annotated[
        list[GuardAnswer],
        Field(description="What each said when it was first made, in order; empty in what earlier versions counted."),
    ]
    facts: Annotated[dict[str, Any], Field(description="What was known then.")]
    first_at: datetime
    last_at: datetime
    count: Annotated[int, Field(description="How often it was made.")]


class DecisionList(Listing[DecisionResponse]):
    """A page of the list of decisions."""


def render_decision(listed: ListedDecision) -> DecisionResponse:
    """A decision as programs see it."""
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
