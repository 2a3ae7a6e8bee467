"""Tables, columns and kinds of events are called what Prometheus, Alertmanager and PagerDuty call them.

Renaming costs nothing but locks; the kinds of timeline events are rewritten, row by row where they differ. The programs
of the version before know the old names, so they are stopped first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009_words"
down_revision = "0008_workers"

_COLUMNS = {
    "episode": {"last_notice_at": "last_notification_at", "notices": "notifications"},
    "source": {
        "last_notice_at": "last_notification_at",
        "silent_after": "stale_after",
        "silent_since": "stale_since",
        "repair_tried_at": "reconciliation_tried_at",
        "repaired_at": "reconciled_at",
        "repair_problem": "reconciliation_problem",
        "repair_held": "reconciliation_withheld",
        "repair_held_reason": "reconciliation_withheld_reason",
    },
}
_KINDS = {
    "rule_refused": "rule_denied",
    "verified_well": "verification_passed",
    "not_verified": "verification_failed",
}


def upgrade() -> None:
    for table, columns in _COLUMNS.items():
        for before, now in columns.items():
            op.alter_column(table, before, new_column_name=now)
    op.rename_table("rejected_alert", "dead_letter")
    for index in ("received_at", "source", "reason"):
        op.execute(f"ALTER INDEX ix_rejected_alert_{index} RENAME TO ix_dead_letter_{index}")
    op.execute("ALTER SEQUENCE rejected_alert_id_seq RENAME TO dead_letter_id_seq")
    op.execute("ALTER TABLE dead_letter RENAME CONSTRAINT pk_rejected_alert TO pk_dead_letter")
    op.execute(
        "ALTER TABLE dead_letter RENAME CONSTRAINT fk_rejected_alert_source_source TO fk_dead_letter_source_source"
    )
    events = sa.table("timeline_event", sa.column("kind", sa.String))
    op.execute(
        sa.update(events).values(kind=sa.case(_KINDS, value=events.c.kind)).where(events.c.kind.in_(list(_KINDS)))
    )
