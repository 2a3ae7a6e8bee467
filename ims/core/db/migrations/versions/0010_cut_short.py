"""Runs say whether they were ended in the middle of a task, and what they left behind.

Which of the earlier runs were is not known any more: all that were stopped or lost after their start count as if. A
constant default adds the columns without rewriting the table.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010_cut_short"
down_revision = "0009_words"


def upgrade() -> None:
    op.add_column("run", sa.Column("cut_short", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("run", sa.Column("left_behind", postgresql.ARRAY(sa.String()), nullable=False, server_default="{}"))
    op.execute(
        "UPDATE run SET cut_short = true"
        " WHERE started_at IS NOT NULL AND status IN ('unknown', 'timed_out', 'cancelled')"
    )
