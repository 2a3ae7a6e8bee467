"""Every operation that changes something writes who did it, by which token, from where."""

from typing import Any

from sqlalchemy import func, select

from ims.api.operations import Security
from ims.audit.models import AuditEntry
from ims.core.db.engine import Database
from ims.programs.web import GROUPS
from tests.integration.api.conftest import Ask
from tests.integration.api.test_rejected import BROKEN
from tests.integration.web.test_rejected import put_aside
from tests.support.notices import alertmanager_alert

WINDOW = {"name": "upgrade", "services": ["checkout"], "seconds": 3600, "reason": "New disks"}
SECRET = "another long password"
Step = tuple[str, str, str, Any, str]
# In order: what a step makes, later ones change. NEW is the incident, token or rejected alert that came last.
STEPS: list[Step] = [
    ("incidents_create", "POST", "/incidents", {"title": "Slow", "severity": "low"}, "incident.created"),
    ("incidents_change", "PATCH", "/incidents/NEW", {"status": "acknowledged"}, "incident.acknowledged"),
    ("maintenance_create", "POST", "/maintenance-windows", WINDOW, "maintenance.added"),
    ("maintenance_end", "POST", "/maintenance-windows/upgrade/end", None, "maintenance.ended"),
    ("maintenance_remove", "DELETE", "/maintenance-windows/upgrade", None, "maintenance.removed"),
    ("dead_letters_retry_rejected", "POST", "/rejected-alerts/FIRST/retry", None, "rejected_alert.retried"),
    ("dead_letters_drop_rejected", "DELETE", "/rejected-alerts/SECOND", None, "rejected_alert.dropped"),
    ("sources_create", "POST", "/sources", {"name": "backups", "kind": "generic"}, "source.added"),
    ("sources_change", "PATCH", "/sources/backups", {"rate_limit": 5}, "source.changed"),
    ("tokens_create_token", "POST", "/tokens", {"source": "backups"}, "token.created"),
    ("tokens_rotate", "POST", "/tokens/NEW/rotate", {}, "token.rotated"),
    ("tokens_revoke", "DELETE", "/tokens/NEW", None, "token.revoked"),
    ("sources_remove", "DELETE", "/sources/backups", None, "source.removed"),
    ("me_create_own_token", "POST", "/me/tokens", {}, "token.created"),
    ("me_rotate_own_token", "POST", "/me/tokens/NEW/rotate", {}, "token.rotated"),
    ("me_revoke_own_token", "DELETE", "/me/tokens/NEW", None, "token.revoked"),
    ("users_create_user", "POST", "/users", {"name": "dora", "role": "responder"}, "user.created"),
    ("users_change_user", "PATCH", "/users/dora", {"role": "viewer"}, "user.changed"),
    ("users_set_password", "POST", "/users/dora/password", {"password": SECRET}, "user.password_set"),
    ("users_sign_out", "POST", "/users/dora/sign-out", None, "user.signed_out_everywhere"),
    ("teams_add_team", "POST", "/teams", {"name": "storage"}, "team.created"),
    ("teams_add_member", "POST", "/teams/storage/members", {"user": "dora"}, "team.joined"),
    ("teams_remove_member", "DELETE", "/teams/storage/members/dora", None, "team.left"),
    ("teams_drop_team", "DELETE", "/teams/storage", None, "team.removed"),
]


def test_each_change_writes_one_entry(ask: Ask, database: Database) -> None:
    first, second = put_aside(database, alertmanager_alert("Repaired"), BROKEN)
    new = ""
    for _, method, step, body, action in STEPS:
        before = count(database)
        path = step.replace("FIRST", str(first)).replace("SECOND", str(second)).replace("NEW", new)
        answer = ask("root", method, path, json=body)
        assert answer.status_code in (200, 201, 204), (path, answer.text)
        told = answer.get_json(silent=True) or {}
        new = told.get("incident") or told.get("token") or new
        assert count(database) == before + 1, path
        with database.begin() as session:
            entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
        assert (entry.action, entry.actor_kind, entry.address) == (action, "token", "127.0.0.1"), path
        assert entry.request_id == answer.headers["X-Request-ID"]
        assert SECRET not in f"{entry.before}{entry.after}"


def test_the_steps_of_this_test_are_all_that_can_be_changed() -> None:
    """A new operation that changes something without a step here, and so without its entry, fails this one."""
    operations = [one for group in GROUPS for one in group.operations if one.security is Security.ACCOUNT]
    assert sorted(name for name, *_ in STEPS) == sorted(one.name for one in operations if not one.is_safe)


def count(database: Database) -> int:
    with database.begin() as session:
        return session.scalars(select(func.count()).select_from(AuditEntry)).one()
