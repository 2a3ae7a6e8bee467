"""Incidents follow what is open, and sources tell what was cut and how far their clocks are off."""

import sqlalchemy as sa
from alembic import op

revision = "0011_alerts"
down_revision = "0010_cut_short"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    # Whose words an incident has; incidents of before keep theirs, since nothing says whose they were.
    op.add_column("incident", sa.Column("lead_alert_id", sa.BigInteger, nullable=True))
    op.add_column("incident", sa.Column("titled_by_person", sa.Boolean, nullable=False, server_default=sa.false()))
    # What reads the alerts of senders that write neither Alertmanager's shape nor ours.
    op.add_column("source", sa.Column("format", sa.String(64), nullable=True))
    # Alerts that a notification left out and that nobody can be asked for.
    op.add_column("source", sa.Column("truncated_alerts", sa.Integer, nullable=True))
    op.add_column("source", sa.Column("truncated_at", TIME, nullable=True))
    # How far the sender's clock is ahead of ours, in seconds, and when that was seen.
    op.add_column("source", sa.Column("clock_ahead", sa.Double, nullable=True))
    op.add_column("source", sa.Column("clock_ahead_at", TIME, nullable=True))
