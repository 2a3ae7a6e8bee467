"""The repair believes that an alert is over only from an Alertmanager that has listed it before.

Episodes that are open now are remembered at the next asking, if they are listed then.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005_repair"
down_revision = "0004_api"


def upgrade() -> None:
    # Constant defaults: no row is written. No index: only read of rows that were found by others.
    op.add_column("episode", sa.Column("listed_by", sa.ARRAY(sa.String), nullable=False, server_default="{}"))
    op.add_column("source", sa.Column("repair_held", sa.Integer, nullable=False, server_default="0"))
    op.add_column("source", sa.Column("repair_held_reason", sa.String, nullable=True))
