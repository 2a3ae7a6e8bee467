"""Since when an Alertmanager is about to send an alert to IMS, so that normal grouping does not count as a loss."""

import sqlalchemy as sa
from alembic import op

revision = "0014_unsent_alerts"
down_revision = "0013_edited"


def upgrade() -> None:
    # Rows go with their source: they mean nothing without it.
    op.create_table(
        "unsent_alert",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", "fingerprint", name="pk_unsent_alert"),
        sa.ForeignKeyConstraint(["source"], ["source.name"], name="fk_unsent_alert_source_source", ondelete="CASCADE"),
    )
