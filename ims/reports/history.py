"""What the lifeline needs to know, out of the rows of an incident, its runs and its denials."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from ims.healing.queries import Denial
from ims.incidents.models import Incident
from ims.reports.lifeline import Attempt, Story
from ims.runs.models import Run, RunOutcome

AnyRow = Row[*tuple[Any, ...]]
"""Columns of a table under their own names."""


def story_of(incident: Incident | AnyRow, runs: Sequence[Run | AnyRow], denials: Sequence[Denial]) -> Story:
    """The incident's story; runs and denials are in their order."""
    return Story(
        opened_at=incident.opened_at,
        resolved_at=incident.resolved_at,
        healed_at=incident.healed_at,
        acknowledged_at=incident.acknowledged_at,
        attention_at=incident.attention_at,
        first_human_at=incident.first_human_at,
        attempts=[attempt for run in runs if (attempt := _attempt(run))],
        # A denial without a rule is "no rule matches": nothing was stopped.
        refused_at=[denial.first_at for denial in denials if denial.rule],
    )


def _attempt(run: Run | AnyRow) -> Attempt | None:
    """The run on the lifeline, once it has begun. A run that ended without saying when counts to what is known."""
    if run.started_at is None:
        return None
    if run.outcome == RunOutcome.RUNNING:
        return Attempt(run.started_at)
    finished = run.finished_at or run.ended_at or run.started_at
    if run.outcome == RunOutcome.VERIFYING:
        return Attempt(run.started_at, finished)
    return Attempt(run.started_at, finished, run.ended_at or finished)
