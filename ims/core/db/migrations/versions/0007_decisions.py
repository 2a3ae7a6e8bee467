"""Decisions are records, runs are described by specs, and verifications and approvals are rows of their own.

What a playbook did (`run.status`) and what people see (`run.outcome`) were one column. Every row that is there is
rewritten, in one transaction: the programs of the version before do not know the new states, so they are stopped first.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007_decisions"
down_revision = "0006_sign_in"

_AT = sa.DateTime(timezone=True)
_NEWEST: sa.ColumnElement[str] = sa.literal_column("id DESC")
_NEWEST_RUN: sa.ColumnElement[str] = sa.literal_column("number DESC")


def upgrade() -> None:
    _create_verification()
    _describe_runs()
    _split_status()
    _create_approval()
    _create_decision()
    _carry_refusals_over()


def _create_verification() -> None:
    op.create_table(
        "verification",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("started_at", _AT, nullable=False),
        sa.Column("ended_at", _AT, nullable=True),
        sa.Column("healthy_since", _AT, nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("probes", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.CheckConstraint("status IN ('pending', 'passed', 'failed', 'skipped')", name=op.f("ck_verification_status")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_verification_run_id_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_verification")),
    )


def _describe_runs() -> None:
    """Each run gets the spec that its rule would have made from the run's own revision."""
    op.add_column("run", sa.Column("spec", postgresql.JSONB(), nullable=True))
    op.execute(_SPECS)
    op.alter_column("run", "spec", nullable=False)
    # It stands in the spec.
    op.drop_column("run", "parameters")


# Rules and addresses are taken out of each revision once: a policy may be megabytes, and there may be a million runs.
_SPECS = """
    WITH rules AS MATERIALIZED (
        SELECT digest, rule ->> 'name' AS name, rule
        FROM policy_snapshot, jsonb_array_elements(policy -> 'healing_rules') AS rule
    ), services AS MATERIALIZED (
        SELECT digest, service.key AS name, service.value ->> 'url' AS url
        FROM policy_snapshot, jsonb_each(policy -> 'services') AS service
    )
    UPDATE run SET spec = jsonb_build_object(
        'version', 1,
        'kind', run.kind,
        'playbook', run.playbook,
        'target', run.target,
        'parameters', run.parameters,
        'mode', 'apply',
        'timeout', coalesce(rules.rule -> 'timeout', '120'),
        'lock_keys', jsonb_build_array(run.target),
        'verification', jsonb_build_object(
            'url', services.url,
            'green_for', coalesce(rules.rule -> 'verify' -> 'green_for', '3'),
            'within', coalesce(rules.rule -> 'verify' -> 'within', '60'),
            'interval', coalesce(rules.rule -> 'verify' -> 'interval', '0.5')
        ),
        'safe_to_repeat', coalesce(rules.rule -> 'safe_to_repeat', 'false')
    )
    FROM run AS own
    LEFT JOIN rules ON rules.digest = own.revision AND rules.name = own.rule
    LEFT JOIN services ON services.digest = own.revision AND services.name = own.target
    WHERE own.id = run.id
"""


def _split_status() -> None:
    # Each of these says something about the column that is taken apart.
    for index in ("uq_run_active_target", "uq_run_healed_episode", "ix_run_unverified", "ix_run_status"):
        op.drop_index(index, "run")
    op.drop_constraint("ck_run_status", "run")
    op.add_column("run", sa.Column("verification", sa.String(), nullable=True))
    op.alter_column("run", "verified_at", new_column_name="ended_at")
    op.execute(_VERIFICATIONS)
    op.execute(_STATUSES)
    op.drop_column("run", "first_green_at")
    op.create_check_constraint(
        op.f("ck_run_status"),
        "run",
        "status IN ('awaiting_approval', 'queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled',"
        " 'unknown')",
    )
    op.create_check_constraint(
        op.f("ck_run_verification"), "run", "verification IN ('pending', 'passed', 'failed', 'skipped')"
    )
    # Computed by the database, so that it cannot differ from the two it is made of, whoever writes them.
    op.add_column("run", sa.Column("outcome", sa.String(), sa.Computed(_OUTCOME, persisted=True), nullable=False))
    # The promises of before, in the new words: one active run for a target, one healed run for an episode.
    op.create_index(
        "uq_run_active_target", "run", ["target"], unique=True,
        postgresql_where=sa.text("outcome IN ('queued', 'running', 'verifying')"),
    )  # fmt: skip
    op.create_index(
        "uq_run_healed_episode", "run", ["episode_id"], unique=True, postgresql_where=sa.text("outcome = 'healed'")
    )
    # The sweep finds verifications whose job got lost.
    op.create_index("ix_run_unverified", "run", ["finished_at"], postgresql_where=sa.text("verification = 'pending'"))
    # The sweep looks for runs that people have approved and whose target is free by now.
    op.create_index(
        "ix_run_awaiting_approval", "run", ["number"], postgresql_where=sa.text("status = 'awaiting_approval'")
    )
    # Both are filters of the list.
    op.create_index("ix_run_status", "run", ["status", _NEWEST_RUN])
    op.create_index("ix_run_outcome", "run", ["outcome", _NEWEST_RUN])


# A run whose end nobody saw is verified without being healed by it: `unknown` stays what its playbook did.
_VERIFICATIONS = """
    INSERT INTO verification (run_id, status, started_at, ended_at, healthy_since, reason)
    SELECT id,
           CASE WHEN status = 'verifying' OR status = 'unknown' AND ended_at IS NULL THEN 'pending'
                WHEN status = 'healed' OR status = 'unknown' AND first_green_at IS NOT NULL THEN 'passed'
                ELSE 'failed' END,
           coalesce(finished_at, ended_at, queued_at),
           CASE WHEN status NOT IN ('verifying', 'unknown') THEN coalesce(ended_at, finished_at, queued_at)
                ELSE ended_at END,
           first_green_at,
           CASE WHEN status IN ('healed', 'ineffective') THEN reason END
    FROM run WHERE status IN ('verifying', 'healed', 'ineffective', 'unknown')
"""

# Runs that are over have a time since when; a few were written without one.
_STATUSES = """
    UPDATE run SET
        status = CASE WHEN run.status IN ('verifying', 'healed', 'ineffective') THEN 'succeeded' ELSE run.status END,
        verification = verification.status,
        ended_at = CASE WHEN run.status IN ('queued', 'running') OR verification.status = 'pending' THEN NULL
                        ELSE coalesce(run.ended_at, run.finished_at, run.queued_at) END
    FROM run AS own LEFT JOIN verification ON verification.run_id = own.id
    WHERE own.id = run.id
"""

_OUTCOME = """
    CASE WHEN status <> 'succeeded' THEN status
         WHEN verification = 'pending' THEN 'verifying'
         WHEN verification = 'failed' THEN 'ineffective'
         WHEN verification = 'passed' AND kind = 'heal' THEN 'healed'
         ELSE 'succeeded' END
"""


def _create_approval() -> None:
    op.create_table(
        "approval",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("spec_digest", sa.String(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("requested_at", _AT, nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("expires_at", _AT, nullable=False),
        sa.Column("decided_at", _AT, nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'approved', 'rejected', 'expired')", name=op.f("ck_approval_state")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_approval_run_id_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
        # A run is asked about once.
        sa.UniqueConstraint("run_id", name=op.f("uq_approval_run_id")),
    )
    # The sweep lets those expire that nobody answered.
    op.create_index("ix_approval_pending", "approval", ["expires_at"], postgresql_where=sa.text("state = 'pending'"))


def _create_decision() -> None:
    op.create_table(
        "decision",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("episode_id", sa.BigInteger(), nullable=True),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("answers", postgresql.JSONB(), nullable=False),
        sa.Column("until", _AT, nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("first_at", _AT, nullable=False),
        sa.Column("last_at", _AT, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.CheckConstraint("outcome IN ('allowed', 'denied', 'waiting')", name=op.f("ck_decision_outcome")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_decision_incident_id_incident")),
        sa.ForeignKeyConstraint(["episode_id"], ["episode.id"], name=op.f("fk_decision_episode_id_episode")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_decision_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
        # Repeats change no indexed column: with room on the page they leave the indexes alone.
        postgresql_with={"fillfactor": 80},
    )
    # What makes decisions equal, so that a repeat only counts; it also finds those of an episode.
    op.create_index(
        "uq_decision_repeated", "decision", ["episode_id", "outcome", "reason", "rule", "attempt", "revision"],
        unique=True,
    )  # fmt: skip
    # Denials of an incident: its page, its lifeline, and whether one is the first of its kind, all by the index.
    op.create_index("ix_decision_incident", "decision", ["incident_id", "rule", "reason", "first_at"])
    # Removing a run looks for the decision that made it.
    op.create_index("ix_decision_run", "decision", ["run_id"], postgresql_where=sa.text("run_id IS NOT NULL"))
    # The list is read newest first, and each filter has its rows in that order.
    op.create_index("ix_decision_first_at", "decision", ["first_at"])
    for column in ("outcome", "reason", "rule"):
        op.create_index(f"ix_decision_{column}", "decision", [column, _NEWEST])


def _carry_refusals_over() -> None:
    """What was counted for a whole incident stays, as decisions without an episode and without answers."""
    op.execute(_REFUSALS)
    op.drop_table("refusal")


_REFUSALS = """
    INSERT INTO decision (incident_id, rule, attempt, revision, outcome, reason, message, facts, answers, first_at,
                          last_at, count)
    SELECT incident_id, rule, 1, '',
           CASE WHEN refusal.reason IN ('no_policy', 'target_busy', 'cooldown', 'maintenance') THEN 'waiting'
                ELSE 'denied' END,
           CASE refusal.reason WHEN 'self' THEN 'platform_managed' ELSE refusal.reason END,
           coalesce(told.message, refusal.reason), '{}', '[]', first_at, last_at, count
    FROM refusal LEFT JOIN (VALUES
        ('no_policy', 'No policy was active.'),
        ('no_rule', 'No healing rule matched the alert.'),
        ('no_target', 'The alert named no service of the inventory.'),
        ('mode_off', 'Healing was switched off in the policy.'),
        ('observe', 'The policy only observed.'),
        ('self', 'The service is restarted by its platform, not by IMS.'),
        ('manual', 'The service is restarted by people only.'),
        ('parameter', 'The alert did not give what the playbook needs.'),
        ('attempts', 'All attempts were used up.'),
        ('not_repeatable', 'Nobody knows how far the last run came, and it may not be repeated.'),
        ('still_firing', 'Verification passed, but the alert still fired.'),
        ('target_busy', 'Another run was under way on the target.'),
        ('cooldown', 'The last run on the target was too short a time ago.'),
        ('maintenance', 'A maintenance window was open.'),
        ('flapping', 'The alert came and went.')
    ) AS told (reason, message) ON told.reason = refusal.reason
    ORDER BY first_at
"""
