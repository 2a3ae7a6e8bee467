"""Tables: user_account, team, membership, api_token, sign_in_tries, ended_session."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from ims.core.db.base import Base


class UserAccount(Base):
    """A person who signs in."""

    __tablename__ = "user_account"
    __table_args__ = (
        CheckConstraint("role IN ('viewer', 'responder', 'admin')", name="role"),
        # A person of the identity provider has one account, even if their name there changes.
        Index("uq_user_account_oidc", "oidc_issuer", "oidc_subject", unique=True),
        CheckConstraint("(oidc_issuer IS NULL) = (oidc_subject IS NULL)", name="oidc"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(128), unique=True)
    password_hash: Mapped[str | None]
    """argon2id, with its parameters; None for accounts that sign in at the identity provider only."""
    role: Mapped[str]
    email: Mapped[str | None] = mapped_column(String(254))
    oidc_issuer: Mapped[str | None]
    oidc_subject: Mapped[str | None]
    """The provider's claim `sub`: its identifier for the person, which never changes."""
    session_generation: Mapped[int] = mapped_column(default=1)
    """Incremented to end all sessions of the account: a session of an older generation is not accepted."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    groups_missing_since: Mapped[datetime | None]
    """Since when the identity provider has left out the groups at every sign-in, so that role and teams may be old."""


class Team(Base):
    """People who look after services together; incidents name it."""

    __tablename__ = "team"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    created_at: Mapped[datetime]


class Membership(Base):
    """An account belongs to a team."""

    __tablename__ = "membership"

    team: Mapped[str] = mapped_column(ForeignKey("team.name", ondelete="CASCADE"), primary_key=True)
    # Each request reads the teams of one account.
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class ApiToken(Base):
    """A credential of a source, which sends alerts, or of a person, whose programs use the API.

    Only its SHA-256 is stored: a token has 256 random bits, so a slow hash would add no security.
    """

    __tablename__ = "api_token"
    __table_args__ = (
        CheckConstraint("(source IS NULL) <> (user_id IS NULL)", name="owner"),
        # Few tokens belong to people; they are listed by account.
        Index("ix_api_token_user", "user_id", postgresql_where=text("user_id IS NOT NULL")),
    )

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    """Its name for people is `T-<id>`: the token itself is shown once and never again."""
    label: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """Where the token is used; its creator's free text."""
    source: Mapped[str | None] = mapped_column(ForeignKey("source.name", ondelete="CASCADE"), index=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    """When it expires; rotation sets it, so that the old token works while its users are changed one by one."""
    lifetime: Mapped[timedelta | None]
    """The lifetime it was created with; its successor gets the same."""
    last_used_at: Mapped[datetime | None]
    """Accurate to a minute, so that not every request causes a write."""


class SignInTries(Base):
    """Recent wrong passwords from one address, or for one name from one address."""

    __tablename__ = "sign_in_tries"
    # Retention removes old rows by this index.
    __table_args__ = (Index("ix_sign_in_tries_began_at", "began_at"),)

    key: Mapped[bytes] = mapped_column(primary_key=True)
    """A keyed hash, so that names cannot be read from the table."""
    tries: Mapped[int]
    began_at: Mapped[datetime]
    """When the first of them came; they count for `limits.WINDOW` from then on."""


class EndedSession(Base):
    """A session whose user has signed out before it expired: a copy of its cookie must not be accepted."""

    __tablename__ = "ended_session"
    # Retention removes old rows by this index.
    __table_args__ = (Index("ix_ended_session_ended_at", "ended_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    ended_at: Mapped[datetime]
