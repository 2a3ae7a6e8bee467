"""A sign-out ends the session itself, and not only the browser's cookie; names of accounts may be e-mail addresses.

Sessions have no id before this version, so everybody signs in once more after the upgrade. Longer names and a nullable
column change no row.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012_ended_sessions"
down_revision = "0011_alerts"


def upgrade() -> None:
    op.create_table(
        "ended_session",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ended_session"),
    )
    # What has expired anyway is removed by its age.
    op.create_index("ix_ended_session_ended_at", "ended_session", ["ended_at"])
    op.alter_column("user_account", "name", type_=sa.String(length=128), existing_nullable=False)
    op.add_column("user_account", sa.Column("groups_missing_since", sa.DateTime(timezone=True), nullable=True))
