"""Prepare the execution of a claimed run: the unpacked revision, the spec, the alert's data."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.alerts.models import Alert, Episode
from ims.core.errors import NotFound
from ims.core.settings import Settings
from ims.policy.queries import unpack_revision
from ims.runs.models import Run
from ims.runs.queries import policy_of
from ims.runs.request import RunContext, RunRequest
from ims.runs.spec import RunSpec


def prepare_request(session: Session, run_id: UUID, settings: Settings) -> RunRequest:
    """The request for a run, from the run's own revision, which is unpacked on this machine if necessary.

    Raises `NotFound`, `SpecUnreadable`, `TreeFaulty`, and `pydantic.ValidationError` if the request is invalid for the
    run's policy.
    """
    run = session.get(Run, run_id)
    if run is None:
        raise NotFound("There is no such run.")
    policy, spec = policy_of(session, run.revision), RunSpec.from_stored(run.spec)
    run_context = run_context_of(session, run.revision, settings)
    return RunRequest(
        run_id=run.id,
        policy_root=run_context.policy_root,
        inventory=policy.inventory,
        playbook=spec.playbook,
        hosts=frozenset(policy.hosts),
        groups=frozenset(policy.groups),
        limit=spec.target,
        alert=_alert(session, run),
        parameters=spec.parameters,
        is_check=spec.is_check,
        timeout=spec.timeout,
        environment=dict(run_context.environment),
        ansible_cfg=run_context.ansible_cfg,
    )


def run_context_of(session: Session, digest: str, settings: Settings) -> RunContext:
    """What runs of this revision have in common. Unpacks the revision on this machine if necessary."""
    instance = str(settings.state_dir)
    return RunContext(
        policy_root=unpack_revision(session, digest, settings.state_dir / "policy").resolve(),
        environment={"IMS_STATE_DIR": instance, "IMS_INSTANCE": instance},
    )


def _alert(session: Session, run: Run) -> dict[str, Any]:
    """The playbook's variable `alert`; all its strings come from outside."""
    query = select(Alert).join(Episode, Episode.alert_id == Alert.id).where(Episode.id == run.episode_id)
    alert = session.scalars(query).one_or_none()
    if alert is None:
        return {}
    return {
        "name": alert.name,
        "source": alert.source,
        "fingerprint": alert.fingerprint,
        "service": alert.service,
        "environment": alert.environment,
        "severity": alert.severity,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "generator_url": alert.generator_url,
    }
