"""Teams, people's tokens, the identity provider's accounts, the audit log, idempotency keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_accounts"
down_revision = "0001"


def upgrade() -> None:
    _accounts()
    _tokens()
    _audit()
    _let_old_audit_entries_go()
    _idempotency_keys()


def _accounts() -> None:
    op.alter_column("user_account", "password_hash", nullable=True)
    op.add_column("user_account", sa.Column("email", sa.String(length=254), nullable=True))
    op.add_column("user_account", sa.Column("oidc_issuer", sa.String(), nullable=True))
    op.add_column("user_account", sa.Column("oidc_subject", sa.String(), nullable=True))
    op.create_check_constraint(
        op.f("ck_user_account_oidc"), "user_account", "(oidc_issuer IS NULL) = (oidc_subject IS NULL)"
    )
    op.create_index("uq_user_account_oidc", "user_account", ["oidc_issuer", "oidc_subject"], unique=True)
    op.create_table(
        "team",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_team")),
    )
    op.create_table(
        "membership",
        sa.Column("team", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["team"], ["team.name"], name=op.f("fk_membership_team_team"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_membership_user_id_user_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("team", "user_id", name=op.f("pk_membership")),
    )
    op.create_index(op.f("ix_membership_user_id"), "membership", ["user_id"], unique=False)


def _tokens() -> None:
    op.alter_column("api_token", "source", nullable=True)
    op.add_column("api_token", sa.Column("user_id", sa.Uuid(), nullable=True))
    op.add_column("api_token", sa.Column("lifetime", sa.Interval(), nullable=True))
    op.create_foreign_key(
        op.f("fk_api_token_user_id_user_account"), "api_token", "user_account", ["user_id"], ["id"], ondelete="CASCADE"
    )
    op.create_check_constraint(op.f("ck_api_token_owner"), "api_token", "(source IS NULL) <> (user_id IS NULL)")
    op.create_index(
        "ix_api_token_user", "api_token", ["user_id"], unique=False, postgresql_where=sa.text("user_id IS NOT NULL")
    )


def _audit() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("object_kind", sa.String(length=32), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"], unique=False)
    op.create_index("ix_audit_entry_actor", "audit_entry", ["actor", sa.literal_column("id DESC")], unique=False)
    op.create_index(
        "ix_audit_entry_object", "audit_entry", ["object_kind", "object", sa.literal_column("id DESC")], unique=False
    )
    op.execute("REVOKE UPDATE, DELETE, TRUNCATE ON audit_entry FROM ims_app")


def _let_old_audit_entries_go() -> None:
    """Retention's one way to remove audit entries, which keeps the promise that nobody rewrites the log.

    The programs may not delete from audit_entry. This function may, as the owner, and removes what is oldest and at
    least 90 days old by the database's clock; the programs cannot change an entry's time.
    """
    op.execute(
        """
        CREATE FUNCTION remove_old_audit_entries(older_than timestamptz, at_most integer) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER
        -- Nobody's temporary tables or operators may stand in for ours.
        SET search_path = pg_catalog, pg_temp
        AS $$
        DECLARE
            removed integer;
        BEGIN
            IF older_than IS NULL OR older_than > now() - interval '90 days' THEN
                RAISE EXCEPTION 'only what is at least 90 days old may be removed' USING ERRCODE = 'check_violation';
            END IF;
            DELETE FROM public.audit_entry WHERE id IN (
                SELECT id FROM public.audit_entry WHERE at < older_than ORDER BY at LIMIT at_most FOR UPDATE SKIP LOCKED
            );
            GET DIAGNOSTICS removed = ROW_COUNT;
            RETURN removed;
        END
        $$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION remove_old_audit_entries(timestamptz, integer) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION remove_old_audit_entries(timestamptz, integer) TO ims_app")


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["user_account.id"], name=op.f("fk_idempotency_key_account_user_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_index("ix_idempotency_key_created_at", "idempotency_key", ["created_at"], unique=False)
