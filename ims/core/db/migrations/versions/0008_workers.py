"""Workers are listed, one of them leads, and runs have a queue for each pool."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008_workers"
down_revision = "0007_decisions"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    # Every worker writes its row every two seconds. No index but the key, so that PostgreSQL updates it in place.
    op.create_table(
        "worker",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("pools", postgresql.ARRAY(sa.String(128)), nullable=False),
        sa.Column("run_capacity", sa.Integer, nullable=False),
        sa.Column("fast_capacity", sa.Integer, nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("heartbeat_at", TIME, nullable=False),
        sa.Column("modules", postgresql.JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
        sa.CheckConstraint("state IN ('starting', 'working', 'stopping')", name="ck_worker_state"),
    )
    # One row: whoever holds it leads until then. No foreign key: a row of a dead worker may go before its lease does.
    op.create_table(
        "engine_leader",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("worker_id", sa.String(200), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_engine_leader"),
    )
