"""A run as programs see it: the same in the API and in `ims run … --json`."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from ims.core.schemas import Listing, Shown
from ims.runs.models import Run, RunStatus
from ims.runs.queries import ListedRun


class RunShown(Shown):
    """One execution of a playbook. Times are when it happened, null when it has not."""

    run: Annotated[str, Field(description="People's name for it.", examples=["R-7"])]
    id: str
    kind: Annotated[str, Field(description="What it is for, such as `heal`.")]
    status: RunStatus
    reason: Annotated[str | None, Field(description="Why the outcome is what it is.")]
    failed_task: str | None
    incident: Annotated[str | None, Field(examples=["INC-42"])]
    rule: str | None
    attempt: int
    playbook: str
    target: Annotated[str, Field(description="The inventory host it may touch.")]
    parameters: dict[str, Any]
    revision: Annotated[str, Field(description="Digest of the policy tree that was run.")]
    queued_at: datetime
    started_at: datetime | None
    finished_at: Annotated[datetime | None, Field(description="The playbook ended.")]
    verified_at: Annotated[datetime | None, Field(description="The verification ended, or it ended without one.")]
    first_green_at: Annotated[datetime | None, Field(description="First green probe of the window that verified it.")]
    seconds: Annotated[float | None, Field(description="From its start to the end of the playbook.")]
    rc: Annotated[int | None, Field(description="Exit status of the playbook.")]
    recap: Annotated[dict[str, Any], Field(description="Of each host, how many tasks ended how.")]


class RunList(Listing[RunShown]):
    """A page of the list of runs."""


class RunEventShown(Shown):
    """One line of a run's story."""

    counter: Annotated[int, Field(description="Its place, from 1.")]
    at: datetime
    kind: Annotated[str, Field(description="ansible-runner's name of the event, or `ims_note`.")]
    play: str | None
    task: str | None
    host: str | None
    stdout: Annotated[str, Field(description="As it was printed, with terminal colours.")]
    data: dict[str, Any]


class RunLog(Listing[RunEventShown]):
    """A part of a run's log, in its order."""

    active: Annotated[bool, Field(description="More may come: the run is queued, running or being verified.")]


def show_run(listed: ListedRun) -> RunShown:
    """A run as programs see it."""
    run = listed.run
    derived = {"run", "id", "incident", "seconds"}
    own = {name: getattr(run, name) for name in RunShown.model_fields if name not in derived}
    incident = f"INC-{listed.incident}" if listed.incident else None
    return RunShown(run=f"R-{run.number}", id=str(run.id), incident=incident, seconds=seconds_of(run), **own)


def seconds_of(run: Run) -> float | None:
    """From the claim to the end of the playbook."""
    if run.started_at is None or run.finished_at is None:
        return None
    return round((run.finished_at - run.started_at).total_seconds(), 3)
