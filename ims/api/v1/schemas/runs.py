"""Runs, as in the API and in `ims run … --json`."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from ims.core.schemas import Listing, ResponseModel
from ims.runs.models import ApprovalState, Run, RunOutcome, RunStatus, VerificationStatus
from ims.runs.queries import ListedRun


class VerificationResponse(ResponseModel):
    """Verification: whether the service was healthy after the run."""

    status: VerificationStatus
    started_at: datetime
    ended_at: datetime | None
    healthy_since: Annotated[
        datetime | None,
        Field(description="First successful probe of the window that passed, or when the alert resolved."),
    ]
    decided_by: Annotated[str | None, Field(description="What decided the result: `probe` or `alert`.")]
    probes: int | None
    reason: str | None


class ApprovalResponse(ResponseModel):
    """Approval of a run that requires one."""

    state: ApprovalState
    requested_at: datetime
    requested_by: str
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class RunResponse(ResponseModel):
    """One execution of a playbook. A time is null if the event has not happened."""

    run: Annotated[str, Field(description="Short name.", examples=["R-7"])]
    id: str
    kind: Annotated[str, Field(description="Purpose, such as `heal`.")]
    mode: Annotated[str, Field(description="`apply`, or `check`: only reports what it would change.")]
    status: Annotated[RunStatus, Field(description="Status of the playbook.")]
    outcome: Annotated[RunOutcome, Field(description="Status of the playbook combined with the verification.")]
    verification: VerificationResponse | None
    approval: ApprovalResponse | None
    reason: Annotated[str | None, Field(description="Reason of the outcome.")]
    failed_task: str | None
    cut_short: Annotated[
        bool,
        Field(description="A task may have been ended in the middle: a repetition may do twice what it did."),
    ]
    left_behind: Annotated[
        list[str],
        Field(description="Programs that the run left on its worker's machine; they were stopped with it."),
    ]
    incident: Annotated[str | None, Field(examples=["INC-42"])]
    rule: str | None
    attempt: int
    playbook: str
    target: Annotated[str, Field(description="The inventory host it is limited to.")]
    parameters: dict[str, Any]
    revision: Annotated[str, Field(description="Digest of the policy revision that was used.")]
    queued_at: datetime
    started_at: datetime | None
    finished_at: Annotated[datetime | None, Field(description="When the playbook ended.")]
    ended_at: Annotated[datetime | None, Field(description="When the verification ended, or the run without one.")]
    seconds: Annotated[float | None, Field(description="Duration of the playbook.")]
    rc: Annotated[int | None, Field(description="Exit code of the playbook.")]
    recap: Annotated[dict[str, Any], Field(description="Play recap: per host, the number of tasks by result.")]


class RunList(Listing[RunResponse]):
    """A page of the list of runs."""


class RunEventResponse(ResponseModel):
    """One event of a run's log."""

    counter: Annotated[int, Field(description="Sequence number, from 1.")]
    at: datetime
    kind: Annotated[str, Field(description="Event name of ansible-runner, or `ims_note`.")]
    play: str | None
    task: str | None
    host: str | None
    stdout: Annotated[str, Field(description="Output as it was printed, with terminal colours.")]
    data: dict[str, Any]


class RunLog(Listing[RunEventResponse]):
    """A part of a run's log, in order."""

    active: Annotated[bool, Field(description="More lines can follow: the run is queued, running or being verified.")]


def show_run(listed: ListedRun) -> RunResponse:
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
    """Seconds from the claim by a worker to the end of the playbook."""
    if run.started_at is None or run.finished_at is None:
        return None
    return round((run.finished_at - run.started_at).total_seconds(), 3)
