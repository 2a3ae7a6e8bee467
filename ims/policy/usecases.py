"""Store a revision and make it the active one."""

from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.audit.log import record
from ims.core.context import Context
from ims.core.errors import PolicyFaulty
from ims.core.principal import Role
from ims.policy.models import PolicyActivation, PolicySnapshot
from ims.policy.queries import active_digest
from ims.policy.revision import Revision

_ACTIVATION_LOCK = 0x494D5350
"""Key of the advisory lock that serialises activations ("IMSP")."""


class PolicyWithoutServices(PolicyFaulty):
    """The policy has no services, but the active one has. If the inventory is right, use --allow-empty."""


def store_and_activate(context: Context, revision: Revision, *, allow_empty: bool = False) -> bool:
    """Store a revision and make it the active one; True if the revision or its parsed policy was not active before.

    `make_revision` raises for a faulty policy, so the policy of a revision has no faults. Raises
    `PolicyWithoutServices` if the active policy has services and this one has none, unless `allow_empty`.
    """
    context.require(Role.ADMIN)
    session = context.session
    # Two concurrent activations would compare themselves with the same predecessor.
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ACTIVATION_LOCK})
    active = active_digest(session)
    if not allow_empty and active is not None and not revision.policy.services and _services_of(session, active):
        raise PolicyWithoutServices
    content = revision.policy.model_dump(mode="json")
    stored = session.execute(select(PolicySnapshot.policy).filter_by(digest=revision.digest)).scalar_one_or_none()
    _store(session, revision, content, context.now)
    if active == revision.digest and stored == content:
        return False
    session.add(PolicyActivation(digest=revision.digest, activated_at=context.now, actor=context.who))
    labels = {"git_commit": revision.git.commit, "git_dirty": revision.git.dirty}
    before = {"digest": active} if active is not None else None
    after = {"digest": revision.digest, **labels}
    record(context, "policy.activated", revision.digest, before=before, after=after)
    session.flush()
    return True


def _services_of(session: Session, digest: str) -> int:
    services = select(PolicySnapshot.policy["services"]).filter_by(digest=digest).scalar_subquery()
    query = select(func.count()).select_from(func.jsonb_object_keys(services).table_valued("name"))
    return session.execute(query).scalar_one()


def _store(session: Session, revision: Revision, content: dict[str, object], now: datetime) -> None:
    """Insert the snapshot, or update its labels and its parsed policy.

    The same bytes may be loaded again after they were committed to Git, or a newer IMS may parse them differently.
    """
    labels = {"policy": content, "git_commit": revision.git.commit, "git_dirty": revision.git.dirty}
    statement = insert(PolicySnapshot).values(
        digest=revision.digest,
        archive=revision.archive,
        inventory=revision.policy.inventory,
        created_at=now,
        **labels,
    )
    session.execute(statement.on_conflict_do_update(index_elements=["digest"], set_=labels))
