"""Runs and denials of the previous version: every state is converted, and no fact or job is lost."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine, select, update
from sqlalchemy.exc import IntegrityError

from ims.core.db.engine import Database, app_url, owner_url
from ims.core.db.migrate import _config, migrate
from ims.core.settings import Settings
from ims.engine.sweep import redefer_forgotten_runs
from ims.healing.models import Decision
from ims.healing.queries import denials_of
from ims.policy.schema import HealingRule, Policy, VerifyWindow
from ims.runs.models import ACTIVE, Run, RunStatus, Verification, VerificationStatus, outcome_of
from ims.runs.spec import RunSpec
from tests.support.postgres import PostgresServer

NAME = "before_decisions"
NOW = datetime(2026, 3, 1, 3, 12, 7, tzinfo=UTC)
RULE = HealingRule(
    name="restart",
    match={"alertname": "ServiceDown"},
    playbook="playbooks/heal/restart.yml",
    timeout=45.0,
    safe_to_repeat=True,
    verify=VerifyWindow(green_for=2.0, within=30.0),
)
POLICY = Policy.from_stored(
    {
        "inventory": "inventory/local",
        "healing_rules": [json.loads(RULE.model_dump_json())],
        "services": {"shop": {"name": "shop", "url": "http://shop.example.org/health"}},
        "hosts": ["shop"],
    }
)
RUNS: dict[str, tuple[str, bool, bool]] = {
    # The state of before: whether its verification was over, and whether a green probe was seen.
    "queued": ("queued", False, False),
    "running": ("running", False, False),
    "verifying": ("verifying", False, False),
    "healed": ("healed", True, True),
    "ineffective": ("ineffective", True, False),
    "failed": ("failed", True, False),
    "timed out": ("timed_out", True, False),
    "cancelled": ("cancelled", True, False),
    "lost": ("unknown", False, False),
    "lost and healthy": ("unknown", True, True),
    "lost and down": ("unknown", True, False),
}
EXPECTED: dict[str, tuple[str, str | None, str, bool]] = {
    # What the playbook did, the verification, what people see, and whether it is over.
    "queued": ("queued", None, "queued", False),
    "running": ("running", None, "running", False),
    "verifying": ("succeeded", "pending", "verifying", False),
    "healed": ("succeeded", "passed", "healed", True),
    "ineffective": ("succeeded", "failed", "ineffective", True),
    "failed": ("failed", None, "failed", True),
    "timed out": ("timed_out", None, "timed_out", True),
    "cancelled": ("cancelled", None, "cancelled", True),
    "lost": ("unknown", "pending", "unknown", False),
    "lost and healthy": ("unknown", "passed", "unknown", True),
    "lost and down": ("unknown", "failed", "unknown", True),
}
INCIDENT = uuid4()


@pytest.fixture
def before(settings: Settings, postgres: PostgresServer) -> Iterator[Settings]:
    """Settings of a database as the version before left it, with a run in every state and two refusals."""
    postgres.execute(f"CREATE DATABASE {NAME} OWNER ims_owner")
    there = settings.model_copy(
        update={
            name: f"{getattr(settings, name).rpartition('/')[0]}/{NAME}"
            for name in ("database_url", "database_owner_url")
        }
    )
    engine = create_engine(owner_url(there))
    with engine.connect() as connection:
        command.upgrade(_config(connection), "0006_sign_in")
        connection.commit()
    engine.dispose()
    with psycopg.connect(postgres.superuser_conninfo(NAME)) as connection:
        _fill(connection)
    yield there
    postgres.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


def _fill(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "INSERT INTO policy_snapshot (digest, archive, policy, inventory, created_at) VALUES ('d', '', %s, 'i', %s)",
        [POLICY.model_dump_json(), NOW],
    )
    connection.execute(
        "INSERT INTO incident (id, number, title, description, environment, severity, status, labels, opened_at,"
        " updated_at, version, last_seq) VALUES (%s, 1, 'shop', '', 'default', 'high', 'open', '{}', %s, %s, 1, 0)",
        [INCIDENT, NOW, NOW],
    )
    connection.execute("INSERT INTO source (name, kind, created_at) VALUES ('alertmanager', 'alertmanager', %s)", [NOW])
    connection.execute(
        "INSERT INTO alert (id, source, fingerprint, name, environment, severity, labels, annotations, first_seen_at,"
        " last_seen_at) VALUES (1, 'alertmanager', 'f', 'ServiceDown', 'default', 'high', '{}', '{}', %s, %s)",
        [NOW, NOW],
    )
    for place, (name, (status, is_verified, is_green)) in enumerate(RUNS.items()):
        connection.execute(
            "INSERT INTO episode (id, alert_id, incident_id, opened_at, last_notice_at, closed_at, notices,"
            " sender_starts) OVERRIDING SYSTEM VALUE VALUES (%s, 1, %s, %s, %s, %s, 1, '{}')",
            [place + 1, INCIDENT, NOW, NOW, NOW + timedelta(hours=1)],
        )
        finished = None if status in ("queued", "running") else NOW + timedelta(seconds=5)
        # Only one run may be active on a target.
        target = "shop" if status == "healed" else f"host-{place}"
        connection.execute(
            "INSERT INTO run (id, number, kind, status, incident_id, episode_id, rule, attempt, playbook, target,"
            " revision, parameters, fence, queued_at, started_at, finished_at, verified_at, first_green_at, recap,"
            " reason) VALUES (%s, %s, 'heal', %s, %s, %s, 'restart', 1, 'playbooks/heal/restart.yml', %s, 'd', %s, 1,"
            " %s, %s, %s, %s, %s, '{}', %s)",
            [
                uuid4(), place + 1, status, INCIDENT, place + 1, target, '{"size": 3, "force": true}', NOW, NOW,
                finished, NOW + timedelta(seconds=9) if is_verified else None,
                NOW + timedelta(seconds=7) if is_green else None, name,
            ],
        )  # fmt: skip
    for reason, count in (("cooldown", 7), ("self", 2)):
        connection.execute(
            "INSERT INTO refusal VALUES (%s, 'restart', %s, %s, %s, %s)", [INCIDENT, reason, NOW, NOW, count]
        )


def test_every_state_of_before_is_rewritten(before: Settings) -> None:
    assert migrate(before)
    database = Database(app_url(before), pool_size=1)
    try:
        with database.begin() as session:
            runs = {str(run.reason): run for run in session.scalars(select(Run))}
            found = {
                name: (run.status, run.verification, run.outcome, run.ended_at is not None)
                for name, run in runs.items()
            }
            assert found == EXPECTED
            verifications = {row.run_id: row for row in session.scalars(select(Verification))}
            for name, run in runs.items():
                verification = verifications.pop(run.id, None)
                assert (verification.status if verification else None) == EXPECTED[name][1]
                assert verification is None or (verification.healthy_since is not None) == RUNS[name][2]
                status = VerificationStatus(run.verification) if run.verification else None
                assert run.outcome == outcome_of(run.kind, RunStatus(run.status), status)
            assert verifications == {}
            _check_spec(runs["healed"])
            # Only runs that had a job or wait for one get one.
            assert redefer_forgotten_runs(session, NOW + timedelta(hours=1)) == 3
            _check_denials(session.scalars(select(Decision)).all(), denials_of(session, [INCIDENT])[INCIDENT])
        _check_promises(database, {name: run.id for name, run in runs.items()})
    finally:
        database.dispose()


def _check_spec(run: Run) -> None:
    spec = RunSpec.from_stored(run.spec)
    assert (spec.kind, spec.playbook, spec.target, spec.mode) == ("heal", RULE.playbook, "shop", "apply")
    assert (spec.timeout, spec.safe_to_repeat, spec.parameters) == (45, True, {"size": 3, "force": True})
    assert spec.verification is not None
    assert (spec.verification.url, spec.verification.green_for) == ("http://shop.example.org/health", 2)


def _check_denials(decisions: Any, denials: Any) -> None:
    assert {(one.reason, one.outcome, one.count) for one in decisions} == {
        ("cooldown", "waiting", 7), ("platform_managed", "denied", 2),
    }  # fmt: skip
    assert all(one.message.endswith(".") for one in decisions)
    assert {(one.rule, one.reason, one.count) for one in denials} == {
        ("restart", "cooldown", 7), ("restart", "platform_managed", 2),
    }  # fmt: skip


def _check_promises(database: Database, ids: dict[str, UUID]) -> None:
    """One active run for a target, one healed run for an episode."""
    with database.begin() as session:
        healed = session.get_one(Run, ids["healed"])
        target = session.scalars(select(Run.target).where(Run.outcome == ACTIVE[1])).one()
    lies: list[tuple[str, dict[str, Any]]] = [
        ("queued", {"target": target}),
        ("verifying", {"verification": "passed", "episode_id": healed.episode_id, "attempt": 2}),
    ]
    for name, changes in lies:
        lie = update(Run).where(Run.id == ids[name]).values(**changes)
        with database.begin() as session, pytest.raises(IntegrityError):
            session.execute(lie)
