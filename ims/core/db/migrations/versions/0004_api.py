"""Lists of the API: an index for each filter, in the order of the list.

A filter without one reads the whole table when it finds little: alerts and runs of 90 days are many.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004_api"
down_revision = "0003_scale"

_NEWEST: sa.ColumnElement[str] = sa.literal_column("id DESC")
_NEWEST_RUN: sa.ColumnElement[str] = sa.literal_column("number DESC")


def upgrade() -> None:
    for column in ("source", "name", "severity", "environment"):
        op.create_index(f"ix_alert_{column}", "alert", [column, _NEWEST])
    op.create_index("ix_alert_service", "alert", ["service", _NEWEST], postgresql_where=sa.text("service IS NOT NULL"))
    for column in ("source", "reason"):
        op.create_index(f"ix_rejected_alert_{column}", "rejected_alert", [column, _NEWEST])
    for column in ("status", "target", "kind"):
        op.create_index(f"ix_run_{column}", "run", [column, _NEWEST_RUN])
    op.create_index("ix_run_rule", "run", ["rule", _NEWEST_RUN], postgresql_where=sa.text("rule IS NOT NULL"))
