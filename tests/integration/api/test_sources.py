"""Sources by the REST API: for administrators."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from ims.alerts.stale_sources import turn_stale
from ims.audit.models import AuditEntry
from ims.core.db.engine import Database
from ims.sources.models import Source
from tests.integration.api.conftest import Ask, errors_of

SOURCE = {"name": "backups", "kind": "generic", "rate_limit": 5, "networks": ["192.0.2.7"]}


def test_a_source_is_added_once_and_read_with_its_statistics(ask: Ask) -> None:
    answer = ask("root", "POST", "/sources", json=SOURCE)
    assert (answer.status_code, answer.headers["Location"]) == (201, "/api/v1/sources/backups")
    assert (answer.get_json()["networks"], answer.get_json()["state"]) == (["192.0.2.7/32"], "ok")
    assert ask("root", "POST", "/sources", json=SOURCE).status_code == 200
    assert ask("root", "POST", "/sources", json={**SOURCE, "rate_limit": 6}).status_code == 409
    whole = ask("root", "GET", "/sources/backups").get_json()
    assert (whole["alerts"], whole["tokens"], whole["rate_limit"]) == (0, 0, 5.0)


def test_what_is_left_out_stays_and_null_takes_away(ask: Ask) -> None:
    ask("root", "POST", "/sources", json=SOURCE)
    changed = ask("root", "PATCH", "/sources/backups", json={"rate_limit": None, "enabled": False}).get_json()
    assert (changed["rate_limit"], changed["networks"], changed["state"]) == (None, ["192.0.2.7/32"], "disabled")
    assert ask("root", "PATCH", "/sources/backups", json={"enabled": True}).get_json()["state"] == "ok"
    errors = errors_of(ask("root", "PATCH", "/sources/backups", json={}))
    assert errors == {"body": "must name at least one field to change"}


def test_sources_are_listed_by_name_a_page_at_a_time(ask: Ask) -> None:
    for name in ("c", "b"):
        ask("root", "POST", "/sources", json={**SOURCE, "name": name})
    first = ask("root", "GET", "/sources?limit=2").get_json()
    rest = ask("root", "GET", f"/sources?limit=2&cursor={first['next']}").get_json()
    names = [one["name"] for one in first["items"] + rest["items"]]
    assert [name for name in names if name != "ims"] == ["alertmanager", "b", "c"]


def test_the_source_of_what_ims_raises_itself_is_shown_like_the_others(ask: Ask, database: Database) -> None:
    now = datetime.now(UTC)
    with database.begin() as session:
        session.add(Source(name="shop", kind="generic", created_at=now - timedelta(days=1), stale_after=60))
        session.flush()
        turn_stale(session, timedelta(minutes=5), now, watching_since=now - timedelta(days=1))
    listed = {one["name"]: one["kind"] for one in ask("root", "GET", "/sources").get_json()["items"]}
    assert listed["ims"] == "internal"
    assert ask("root", "GET", "/sources/ims").get_json()["kind"] == "internal"


def test_a_source_without_alerts_is_removed_and_all_is_audited(ask: Ask, database: Database) -> None:
    ask("root", "POST", "/sources", json=SOURCE)
    ask("root", "PATCH", "/sources/backups", json={"kind": "grafana"})
    assert ask("root", "DELETE", "/sources/backups").status_code == 204
    assert ask("root", "DELETE", "/sources/backups").status_code == 404
    assert ask("root", "GET", "/sources/backups").status_code == 404
    assert ask("root", "DELETE", "/sources/ims").status_code == 409
    with database.begin() as session:
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert actions == ["source.added", "source.changed", "source.removed"]


@pytest.mark.parametrize(
    ("change", "field", "status"),
    [
        ({"name": "Backups"}, "name", 400),
        ({"name": "ims"}, "name", 422),
        ({"kind": "pigeon"}, "kind", 400),
        ({"networks": ["anywhere"]}, "networks.0", 400),
        ({"networks": ["192.0.2.7/99"]}, "networks", 422),
        ({"alertmanager_url": "http://127.0.0.1:9093"}, "source", 422),
        ({"alertmanager_url": "ftp://x"}, "alertmanager_url", 400),
        ({"receiver": "\0"}, "receiver", 400),
        ({"rate_limit": "5"}, "rate_limit", 400),
        ({"rate_limit": True}, "rate_limit", 400),
        ({"rate_limit": 0}, "rate_limit", 400),
        ({"rate": 5}, "rate", 400),
    ],
)
def test_a_description_that_makes_no_sense_is_named(ask: Ask, change: dict[str, Any], field: str, status: int) -> None:
    assert list(errors_of(ask("root", "POST", "/sources", json={**SOURCE, **change}), status)) == [field]
