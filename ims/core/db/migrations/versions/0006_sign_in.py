"""Wrong passwords are counted in the database: each process by itself allowed as many times more."""

import sqlalchemy as sa
from alembic import op

revision = "0006_sign_in"
down_revision = "0005_repair"


def upgrade() -> None:
    op.create_table(
        "sign_in_tries",
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_sign_in_tries"),
    )
    # What is over is removed by its age.
    op.create_index("ix_sign_in_tries_began_at", "sign_in_tries", ["began_at"])
