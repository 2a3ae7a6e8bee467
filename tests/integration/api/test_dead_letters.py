"""Dead letters by the REST API: looked through, tried again, dropped."""

from typing import Any

import pytest
from sqlalchemy import select

from ims.alerts.ingest import ingest
from ims.alerts.models import DeadLetter
from ims.alerts.notifications import RejectReason, reject
from ims.audit.models import AuditEntry
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.policy.queries import NO_POLICY
from tests.integration.api.conftest import Ask, errors_of
from tests.support.notifications import alertmanager_alert

BROKEN = {"status": "on fire", "labels": {"alertname": "Broken"}}


@pytest.fixture
def ids(database: Database) -> list[int]:
    """Two that stay wrong, and the last one can be read today."""
    alerts: list[Any] = [BROKEN, BROKEN, alertmanager_alert("Repaired")]
    with database.begin() as session:
        rejected = [reject(one, "alertmanager", RejectReason.WRONG_STATUS, "It was wrong.", 0) for one in alerts]
        ingest(session, [], rejected, NO_POLICY, utc_now())
        return sorted(session.scalars(select(DeadLetter.id)))


def test_they_are_listed_newest_first_and_read_with_their_body(ask: Ask, ids: list[int]) -> None:
    first = ask("victor", "GET", "/dead-letters?source=alertmanager&limit=2").get_json()
    rest = ask("victor", "GET", f"/dead-letters?source=alertmanager&limit=2&cursor={first['next']}").get_json()
    assert [one["id"] for one in first["items"] + rest["items"]] == ids[::-1]
    one = ask("victor", "GET", f"/dead-letters/{ids[0]}").get_json()
    assert (one["reason"], one["message"], "on fire" in one["body"]) == ("wrong_status", "It was wrong.", True)
    assert ask("victor", "GET", "/dead-letters?reason=wrong_labels").get_json()["items"] == []
    assert list(errors_of(ask("victor", "GET", "/dead-letters?reason=bad"))) == ["reason"]


def test_what_can_be_read_today_is_taken_and_the_rest_stays(ask: Ask, ids: list[int]) -> None:
    taken = ask("charlie", "POST", f"/dead-letters/{ids[2]}/retry").get_json()
    assert taken == {"id": ids[2], "result": "opened", "message": ""}
    assert ask("charlie", "POST", f"/dead-letters/{ids[2]}/retry").status_code == 404
    stays = ask("charlie", "POST", f"/dead-letters/{ids[0]}/retry").get_json()
    assert (stays["result"], "status" in stays["message"]) == ("still rejected", True)
    assert ask("charlie", "GET", f"/dead-letters/{ids[0]}").status_code == 200


def test_a_dropped_one_is_gone_and_that_is_audited(ask: Ask, ids: list[int], database: Database) -> None:
    dropped = ask("bob", "DELETE", f"/dead-letters/{ids[0]}")
    assert (dropped.status_code, dropped.data) == (204, b"")
    assert ask("bob", "DELETE", f"/dead-letters/{ids[0]}").status_code == 404
    with database.begin() as session:
        (entry,) = session.scalars(select(AuditEntry)).all()
        assert (entry.action, entry.object, entry.actor_kind) == ("dead_letter.dropped", str(ids[0]), "token")
        assert entry.before == {"source": "alertmanager", "reason": "wrong_status"}


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/retry"), ("DELETE", "")])
def test_an_unknown_one_is_not_found(ask: Ask, method: str, path: str) -> None:
    for unknown in ("9999999", "0", "9" * 30, "x"):
        assert ask("bob", method, f"/dead-letters/{unknown}{path}").status_code == 404
