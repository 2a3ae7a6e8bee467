"""The history of an incident for its lifeline, from the rows of the incident, its runs and its denials."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from ims.healing.queries import Denial
from ims.incidents.models import Incident
from ims.reports.lifeline import Attempt, History
from ims.runs.models import Run, RunOutcome

AnyRow = Row[*tuple[Any, ...]]
"""Columns of a table under their own names."""


def history_of(incident: Incident | AnyRow, runs: Sequence[Run | AnyRow], denials: Sequence[Denial]) -> History:
    """The incident's history; runs and denials are given in order of time."""
    return History(
        opened_at=incident.opened_at,
        resolved_at=incident.resolved_at,
        healed_at=incident.healed_at,
        acknowledged_at=incident.acknowledged_at,
        attention_at=incident.attention_at,
        first_human_at=incident.first_human_at,
        attempts=[attempt for run in runs if (attempt := _attempt(run))],
        # A denial without a rule means that no rule matched: no run was denied.
        denied_at=[denial.first_at for denial in denials if denial.rule],
    )


def _attempt(run: Run | AnyRow) -> Attempt | None:
    """The run on the lifeline; None before it starts. A missing end time is replaced by the latest known time."""
    if run.started_at is None:
        return None
    if run.outcome == RunOutcome.RUNNING:
        return Attempt(run.started_at)
    finished = run.finished_at or run.ended_at or run.started_at
    if run.outcome == RunOutcome.VERIFYING:
        return Attempt(run.started_at, finished)
    return Attempt(run.started_at, finished, run.ended_at or finished)
