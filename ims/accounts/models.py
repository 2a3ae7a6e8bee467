"""Tables: user_account, api_token."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from ims.db.base import Base


class Role(StrEnum):
    """What an account may do; each role includes the one before it."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    ADMIN = "admin"


class UserAccount(Base):
    """A person who signs in."""

    __tablename__ = "user_account"
    __table_args__ = (CheckConstraint("role IN ('viewer', 'responder', 'admin')", name="role"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str]
    """argon2id, with its parameters."""
    role: Mapped[str]
    session_generation: Mapped[int] = mapped_column(default=1)
    """Raised to end all sessions of the account: a session of an older generation is not accepted."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class ApiToken(Base):
    """A credential of a source. Only its SHA-256 is kept: a token has 256 random bits, a slow hash adds nothing."""

    __tablename__ = "api_token"

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    """People's name for it (T-3): the token itself is shown once and never again."""
    label: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """Where it is used, in the words of whoever made it."""
    source: Mapped[str] = mapped_column(ForeignKey("source.name", ondelete="CASCADE"), index=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    """Set on rotation: the old token works until then, so that senders can be changed one after the other."""
    last_used_at: Mapped[datetime | None]
    """To the minute: not every request is worth a write."""
