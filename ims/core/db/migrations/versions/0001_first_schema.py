"""First schema: sources, alerts, incidents, policy, runs, accounts; the job queue; what the programs' role may do."""

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("incident_number_seq")))
    op.execute(sa.schema.CreateSequence(sa.Sequence("run_number_seq")))
    op.create_table(
        "correlation",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_correlation")),
    )
    op.create_table(
        "incident",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=True),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("assignee", sa.String(), nullable=True),
        sa.Column("team", sa.String(), nullable=True),
        sa.Column("runbook_url", sa.String(), nullable=True),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("correlation_key", sa.String(), nullable=True),
        sa.Column("recurrence_of", sa.Uuid(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("in_progress_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_human_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("healed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attention_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attention_reason", sa.String(), nullable=True),
        sa.Column("maintenance", sa.String(), nullable=True),
        sa.Column("flapping_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.CheckConstraint("(status = 'resolved') = (resolved_at IS NOT NULL)", name=op.f("ck_incident_resolved")),
        sa.CheckConstraint(
            "status IN ('open', 'acknowledged', 'in_progress', 'resolved')", name=op.f("ck_incident_status")
        ),
        sa.ForeignKeyConstraint(["recurrence_of"], ["incident.id"], name=op.f("fk_incident_recurrence_of_incident")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
        sa.UniqueConstraint("number", name=op.f("uq_incident_number")),
    )
    op.create_index(
        "ix_incident_healed_at",
        "incident",
        ["healed_at"],
        unique=False,
        postgresql_where=sa.text("healed_at IS NOT NULL"),
    )
    op.create_index(
        "ix_incident_maintenance",
        "incident",
        ["id"],
        unique=False,
        postgresql_where=sa.text("maintenance IS NOT NULL AND status <> 'resolved'"),
    )
    op.create_index("ix_incident_opened_at", "incident", [sa.literal_column("opened_at DESC"), "id"], unique=False)
    op.create_index(
        "ix_incident_recurrence_of",
        "incident",
        ["recurrence_of"],
        unique=False,
        postgresql_where=sa.text("recurrence_of IS NOT NULL"),
    )
    op.create_index(
        "ix_incident_resolved_at",
        "incident",
        ["resolved_at"],
        unique=False,
        postgresql_where=sa.text("resolved_at IS NOT NULL"),
    )
    op.create_index(
        "ix_incident_service",
        "incident",
        ["service", "environment"],
        unique=False,
        postgresql_where=sa.text("status <> 'resolved'"),
    )
    op.create_index(
        "ix_incident_status", "incident", ["status", sa.literal_column("opened_at DESC"), "id"], unique=False
    )
    op.create_table(
        "heartbeat",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_source", sa.String(length=64), nullable=True),
        sa.Column("missed_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "maintenance_window",
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(origin = 'command') = (definition IS NOT NULL)", name=op.f("ck_maintenance_window_definition")
        ),
        sa.CheckConstraint("origin IN ('command', 'inventory')", name=op.f("ck_maintenance_window_origin")),
        sa.PrimaryKeyConstraint("origin", "name", name=op.f("pk_maintenance_window")),
    )
    op.create_table(
        "policy_snapshot",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("archive", sa.LargeBinary(), nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("inventory", sa.String(), nullable=False),
        sa.Column("git_commit", sa.String(), nullable=True),
        sa.Column("git_dirty", sa.Boolean(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_policy_snapshot")),
    )
    op.create_table(
        "source",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("alertmanager_url", sa.String(), nullable=True),
        sa.Column("receiver", sa.String(), nullable=True),
        sa.Column("networks", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
        sa.Column("rate_limit", sa.Float(), nullable=True),
        sa.Column("silent_after", sa.Float(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_notice_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("repair_tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("repaired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("repair_problem", sa.String(), nullable=True),
        sa.Column("silent_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_source")),
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("session_generation", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('viewer', 'responder', 'admin')", name=op.f("ck_user_account_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("name", name=op.f("uq_user_account_name")),
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=True),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("annotations", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("generator_url", sa.String(), nullable=True),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["source.name"], name=op.f("fk_alert_source_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint("source", "fingerprint", name=op.f("uq_alert_source_fingerprint")),
    )
    op.create_table(
        "api_token",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("label", sa.String(length=64), server_default="", nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["source"], ["source.name"], name=op.f("fk_api_token_source_source"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_api_token")),
        sa.UniqueConstraint("id", name=op.f("uq_api_token_id")),
    )
    op.create_index(op.f("ix_api_token_source"), "api_token", ["source"], unique=False)
    op.create_table(
        "policy_activation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["policy_snapshot.digest"], name=op.f("fk_policy_activation_digest_policy_snapshot")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_activation")),
    )
    op.create_table(
        "refusal",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_refusal_incident_id_incident")),
        sa.PrimaryKeyConstraint("incident_id", "rule", "reason", name=op.f("pk_refusal")),
    )
    op.create_table(
        "rejected_alert",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["source.name"], name=op.f("fk_rejected_alert_source_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejected_alert")),
    )
    op.create_index(op.f("ix_rejected_alert_received_at"), "rejected_alert", ["received_at"], unique=False)
    op.create_table(
        "timeline_event",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_timeline_event_incident_id_incident")),
        sa.PrimaryKeyConstraint("incident_id", "seq", name=op.f("pk_timeline_event")),
    )
    op.create_table(
        "episode",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_notice_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notices", sa.Integer(), nullable=False),
        sa.Column("sender_starts", postgresql.ARRAY(postgresql.TIMESTAMP(timezone=True)), nullable=False),
        sa.Column("sender_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_episode_alert_id_alert")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_episode_incident_id_incident")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_episode")),
    )
    op.create_index("ix_episode_alert", "episode", ["alert_id", sa.literal_column("opened_at DESC")], unique=False)
    op.create_index("ix_episode_incident", "episode", ["incident_id", "closed_at"], unique=False)
    op.create_index(
        "uq_episode_open", "episode", ["alert_id"], unique=True, postgresql_where=sa.text("closed_at IS NULL")
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("episode_id", sa.BigInteger(), nullable=True),
        sa.Column("rule", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("playbook", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("revision", sa.String(length=64), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_green_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rc", sa.Integer(), nullable=True),
        sa.Column("recap", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("failed_task", sa.String(), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'verifying', 'healed', 'ineffective', 'failed', 'timed_out',"
            " 'cancelled', 'unknown')",
            name=op.f("ck_run_status"),
        ),
        sa.ForeignKeyConstraint(["episode_id"], ["episode.id"], name=op.f("fk_run_episode_id_episode")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_run_incident_id_incident")),
        sa.ForeignKeyConstraint(["revision"], ["policy_snapshot.digest"], name=op.f("fk_run_revision_policy_snapshot")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("episode_id", "rule", "attempt", name=op.f("uq_run_episode_id_rule_attempt")),
        sa.UniqueConstraint("number", name=op.f("uq_run_number")),
    )
    op.create_index("ix_run_incident", "run", ["incident_id"], unique=False)
    op.create_index(
        "ix_run_lease", "run", ["lease_until"], unique=False, postgresql_where=sa.text("status = 'running'")
    )
    op.create_index(
        "ix_run_unverified",
        "run",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("status = 'unknown' AND verified_at IS NULL"),
    )
    op.create_index("ix_run_target_finished", "run", ["target", "finished_at"], unique=False)
    op.create_index(
        "uq_run_active_target",
        "run",
        ["target"],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'running', 'verifying')"),
    )
    op.create_index(
        "uq_run_healed_episode", "run", ["episode_id"], unique=True, postgresql_where=sa.text("status = 'healed'")
    )
    op.create_table(
        "run_event",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("play", sa.String(), nullable=True),
        sa.Column("task", sa.String(), nullable=True),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("stdout", sa.String(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_event_run_id_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "counter", name=op.f("pk_run_event")),
    )
    _create_job_queue()
    _grant()
    _let_whole_old_incidents_go()


def _create_job_queue() -> None:
    """Procrastinate's schema goes in once, as it is; a later version's changes become revisions of ours."""
    # The driver's own execute: the text has many statements, and SQLAlchemy would look for parameters in it.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - a migration always has a connection
    driver.execute(SchemaManager.get_schema())


def _grant() -> None:
    """The programs read and write everything, now and in later revisions, but cannot rewrite a timeline."""
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ims_app")
    op.execute("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO ims_app")
    op.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ims_app")
    op.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO ims_app")
    op.execute("REVOKE UPDATE, DELETE, TRUNCATE ON timeline_event FROM ims_app")
    op.execute("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON alembic_version FROM ims_app")


def _let_whole_old_incidents_go() -> None:
    """Retention's one way to remove timelines, which keeps the promise that nobody rewrites one.

    The programs may not delete from timeline_event. This function may, as the owner, and deletes incidents with their
    whole timelines or fails: no event of a timeline that stays can go. It takes an incident only if it is resolved and
    *all* events of its timeline are at least a week old; the programs cannot change an event's time, so nothing that
    they write into `incident` makes a young timeline removable. Whatever else belongs to the incidents has to be gone
    before: foreign keys see to that.
    """
    op.execute(
        """
        CREATE FUNCTION remove_old_incidents(incident_ids uuid[], before timestamptz) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER
        -- Nobody's temporary tables or operators may stand in for ours.
        SET search_path = pg_catalog, pg_temp
        AS $$
        DECLARE
            removed integer;
        BEGIN
            IF before IS NULL OR before > now() - interval '7 days' THEN
                RAISE EXCEPTION 'only what is at least 7 days old may be removed' USING ERRCODE = 'check_violation';
            END IF;
            -- Locked first: nobody can append to these timelines while they are looked at.
            PERFORM id FROM public.incident WHERE id = ANY(incident_ids) ORDER BY id FOR UPDATE;
            IF EXISTS (
                SELECT FROM public.incident
                WHERE id = ANY(incident_ids) AND (status <> 'resolved' OR resolved_at >= before)
            ) OR EXISTS (
                SELECT FROM public.timeline_event WHERE incident_id = ANY(incident_ids) AND at >= before
            ) THEN
                RAISE EXCEPTION 'an incident is unresolved or too young' USING ERRCODE = 'check_violation';
            END IF;
            DELETE FROM public.timeline_event WHERE incident_id = ANY(incident_ids);
            DELETE FROM public.incident WHERE id = ANY(incident_ids);
            GET DIAGNOSTICS removed = ROW_COUNT;
            RETURN removed;
        END
        $$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION remove_old_incidents(uuid[], timestamptz) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION remove_old_incidents(uuid[], timestamptz) TO ims_app")
