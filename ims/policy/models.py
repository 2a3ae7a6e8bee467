"""Tables: policy_snapshot, policy_activation."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class PolicySnapshot(Base):
    """A revision: digest and archive of the policy tree, and the policy that was read from it."""

    __tablename__ = "policy_snapshot"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """sha256 of the archive, in hex; runs and approvals bind to it."""
    archive: Mapped[bytes] = mapped_column(LargeBinary)
    policy: Mapped[dict[str, Any]]
    """The validated policy as JSON."""
    inventory: Mapped[str]
    """Path of the inventory inside the tree."""
    git_commit: Mapped[str | None]
    """A label only; the digest is the identity."""
    git_dirty: Mapped[bool | None]
    created_at: Mapped[datetime]


class PolicyActivation(Base):
    """One activation of a revision; the newest row is the active revision."""

    __tablename__ = "policy_activation"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("policy_snapshot.digest"))
    activated_at: Mapped[datetime]
    actor: Mapped[str]
