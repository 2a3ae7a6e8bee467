"""Overrides of on-call schedules, and calendar feeds."""

import sqlalchemy as sa
from alembic import op

revision = "0015_oncall"
down_revision = "0014_unsent_alerts"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "oncall_override",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("schedule", sa.String(128), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("begins", TIME, nullable=False),
        sa.Column("ends", TIME, nullable=False),
        sa.Column("reason", sa.String(200), nullable=False, server_default=""),
        sa.Column("swapped_with", sa.String(64), nullable=True),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("cancelled_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_oncall_override"),
        # An override names an account: nobody can be on call who could not be notified.
        sa.ForeignKeyConstraint(["person"], ["user_account.name"], name="fk_oncall_override_person_user_account"),
        sa.CheckConstraint("ends > begins", name="ck_oncall_override_span"),
    )
    # Whoever asks who is on call reads the overrides of a schedule that have not ended.
    op.create_index(
        "ix_oncall_override_schedule", "oncall_override", ["schedule", "ends"],
        postgresql_where=sa.text("cancelled_at IS NULL"),
    )  # fmt: skip
    op.create_table(
        "calendar_feed",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("schedule", sa.String(128), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_calendar_feed"),
        sa.UniqueConstraint("hash", name="uq_calendar_feed_hash"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name="fk_calendar_feed_user_id_user_account", ondelete="CASCADE"
        ),
    )
    # A page lists the feeds of an account.
    op.create_index("ix_calendar_feed_user_id", "calendar_feed", ["user_id"])
