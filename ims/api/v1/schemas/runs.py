"""A run as programs see it: the same in the API and in `ims run … --json`."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from ims.core.schemas import Listing, ResponseModel
from ims.runs.models import ApprovalState, Run, RunOutcome, RunStatus, VerificationStatus
from ims.runs.queries import ListedRun


class VerificationResponse(ResponseModel):
    """Whether the service was healthy after the run."""

    status: VerificationStatus
    started_at: datetime
    ended_at: datetime | None
    healthy_since: Annotated[
        datetime | None, Field(description="First green probe of the window that passed, or the alert's resolve.")
    ]
    decided_by: Annotated[str | None, Field(description="What told: `probe` or `alert`.")]
    probes: int | None
    reason: str | None


class ApprovalResponse(ResponseModel):
    """What people said about a run that waits for them."""

    state: ApprovalState
    requested_at: datetime
    requested_by: str
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class RunResponse(ResponseModel):
    """One execution of a playbook. Times are when it happened, null when it has not."""

    run: Annotated[str, Field(description="People's name for it.", examples=["R-7"])]
    id: str
    kind: Annotated[str, Field(description="What it is for, such as `heal`.")]
    mode: Annotated[str, Field(description="`apply`, or `check`: then it only said what it would change.")]
    status: Annotated[RunStatus, Field(description="What its playbook did.")]
    outcome: Annotated[RunOutcome, Field(description="The same with what its verification made of it.")]
    verification: VerificationResponse | None
    approval: ApprovalResponse | None
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
    ended_at: Annotated[datetime | None, Field(description="The verification ended, or the run ended without one.")]
    seconds: Annotated[float | None, Field(description="From its start to the end of the playbook.")]
    rc: Annotated[int | None, Field(description="Exit status of the playbook.")]
    recap: Annotated[dict[str, Any], Field(description="Of each host, how many tasks ended how.")]


class RunList(Listing[RunResponse]):
    """A page of the list of runs."""


class RunEventResponse(ResponseModel):
    """One line of a run's story."""

    counter: Annotated[int, Field(description="Its place, from 1.")]
    at: datetime
    kind: Annotated[str, Field(description="ansible-runner's name of the event, or `ims_note`.")]
    play: str | None
    task: str | None
    host: str | None
    stdout: Annotated[str, Field(description="As it was printed, with terminal colours.")]
    data: dict[str, Any]


class RunLog(Listing[RunEventResponse]):
    """A part of a run's log, in its order."""

    active: Annotated[bool, Field(description="More may come: the run is queued, running or being verified.")]


def show_run(listed: ListedRun) -> RunResponse:
    """A run as programs see it."""
    run = listed.run
    derived = {"run", "id", "incident", "seconds", "mode", "verification", "approval"}
    own = {name: getattr(run, name) for name in RunResponse.model_fields if name not in derived}
    return RunResponse(
        run=f"R-{run.number}",
        id=str(run.id),
        incident=f"INC-{listed.incident}" if listed.incident else None,
        seconds=seconds_of(run),
        mode=run.spec.get("mode", "apply"),
        verification=VerificationResponse.model_validate(listed.verification) if listed.verification else None,
        approval=ApprovalResponse.model_validate(listed.approval) if listed.approval else None,
        **own,
    )


def seconds_of(run: Run) -> float | None:
    """From the claim to the end of the playbook."""
    if run.started_at is None or run.finished_at is None:
        return None
    return round((run.finished_at - run.started_at).total_seconds(), 3)
