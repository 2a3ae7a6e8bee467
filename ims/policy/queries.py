"""Read the active policy."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.core.errors import NotFound
from ims.policy.models import PolicyActivation, PolicySnapshot
from ims.policy.schema import Policy
from ims.policy.unpacking import unpack, unpacked


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """The policy in force: `digest` names the revision, `inventory` is the path in its tree."""

    activation: int
    digest: str
    activated_at: datetime
    policy: Policy
    inventory: str
    actor: str
    git_commit: str | None
    git_dirty: bool | None


class NoPolicy(NotFound):
    """No policy is active yet. Run `ims admin policy load`."""


NO_POLICY = Policy(inventory="")
"""The policy before the first `ims admin policy load`: no services, the built-in severities, the defaults."""

_seen: dict[tuple[int, str, datetime], ActivePolicy] = {}
"""Cache of the newest activation that this process has read. An activation never changes."""


def active_digest(session: Session) -> str | None:
    """Digest of the active revision; None if no policy was ever activated."""
    newest = select(PolicyActivation.digest).order_by(PolicyActivation.id.desc()).limit(1)
    return session.execute(newest).scalar_one_or_none()


def active_policy(session: Session) -> ActivePolicy | None:
    """The active policy; None if no policy was ever activated. Costs one small query while the policy is unchanged."""
    newest = session.execute(
        select(
            PolicyActivation.id.label("activation"),
            PolicyActivation.digest,
            PolicyActivation.activated_at,
            PolicyActivation.actor,
            PolicySnapshot.inventory,
            PolicySnapshot.git_commit,
            PolicySnapshot.git_dirty,
        )
        .join(PolicySnapshot, PolicySnapshot.digest == PolicyActivation.digest)
        .order_by(PolicyActivation.id.desc())
        .limit(1)
    ).one_or_none()
    if newest is None:
        return None
    key = (newest.activation, newest.digest, newest.activated_at)
    if (known := _seen.get(key)) is None:
        stored = session.execute(select(PolicySnapshot.policy).filter_by(digest=newest.digest)).scalar_one()
        known = ActivePolicy(policy=Policy.from_stored(stored), **newest._asdict())
        _seen.clear()
        _seen[key] = known
    # The labels may have changed: the same bytes may be loaded first and committed to Git later.
    return replace(known, git_commit=newest.git_commit, git_dirty=newest.git_dirty)


def require_active_policy(session: Session) -> ActivePolicy:
    """The active policy. Raises `NoPolicy`."""
    active = active_policy(session)
    if active is None:
        raise NoPolicy
    return active


def unpack_revision(session: Session, digest: str, directory: Path) -> Path:
    """Unpack a stored revision below `directory` (`policy` in the state directory) and return its read-only tree.

    Raises `NotFound` if there is no such revision, `TreeFaulty` if the stored archive is damaged.
    """
    if (path := unpacked(digest, directory)) is not None:
        return path
    archive = session.execute(select(PolicySnapshot.archive).filter_by(digest=digest)).scalar_one_or_none()
    if archive is None:
        raise NotFound(f"There is no revision {digest}.")
    return unpack(digest, archive, directory)


def policy_in_force(session: Session) -> Policy:
    """The active policy, or the built-in defaults before the first one: IMS accepts alerts from the start."""
    active = active_policy(session)
    return active.policy if active else NO_POLICY
