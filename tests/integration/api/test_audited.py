"""Every operation that changes something writes who did it, by which token, from where."""

from typing import Any

from sqlalchemy import func, select

from ims.app import GROUPS
from ims.audit.models import AuditEntry
from ims.db.engine import Database
from ims.http.operations import Security
from tests.integration.api.conftest import Ask
from tests.integration.api.test_rejected import BROKEN
from tests.integration.web.test_rejected import put_aside
from tests.support.notices import alertmanager_alert

WINDOW = {"name": "upgrade", "services": ["checkout"], "seconds": 3600, "reason": "New disks"}
Step = tuple[str, str, str, Any, str]
STEPS: list[Step] = [
    ("incidents_create", "POST", "/incidents", {"title": "Slow", "severity": "low"}, "incident.created"),
    ("incidents_change", "PATCH", "/incidents/INC-1", {"status": "acknowledged", "note": "x"}, "incident.changed"),
    ("maintenance_create", "POST", "/maintenance-windows", WINDOW, "maintenance.added"),
    ("maintenance_end", "POST", "/maintenance-windows/upgrade/end", None, "maintenance.ended"),
    ("maintenance_remove", "DELETE", "/maintenance-windows/upgrade", None, "maintenance.removed"),
    ("alerts_retry_rejected", "POST", "/rejected-alerts/FIRST/retry", None, "rejected_alert.retried"),
    ("alerts_drop_rejected", "DELETE", "/rejected-alerts/SECOND", None, "rejected_alert.dropped"),
]


def test_each_change_writes_one_entry(ask: Ask, database: Database) -> None:
    first, second = put_aside(database, alertmanager_alert("Repaired"), BROKEN)
    number = ""
    for _, method, step, body, action in STEPS:
        before = count(database)
        path = step.replace("FIRST", str(first)).replace("SECOND", str(second)).replace("INC-1", number or "INC-1")
        answer = ask("charlie" if action == "incident.created" else "root", method, path, json=body)
        assert answer.status_code in (200, 201, 204), (path, answer.text)
        number = number or answer.get_json()["incident"]
        assert count(database) == before + 1, path
        with database.begin() as session:
            entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
        assert (entry.action, entry.actor_kind, entry.address) == (action, "token", "127.0.0.1"), path
        assert entry.request_id == answer.headers["X-Request-ID"]


def test_the_steps_of_this_test_are_all_that_can_be_changed() -> None:
    """A new operation that changes something without a step here, and so without its entry, fails this one."""
    operations = [one for group in GROUPS for one in group.operations if one.security is Security.ACCOUNT]
    assert sorted(name for name, *_ in STEPS) == sorted(one.name for one in operations if not one.is_safe)


def count(database: Database) -> int:
    with database.begin() as session:
        return session.scalars(select(func.count()).select_from(AuditEntry)).one()
