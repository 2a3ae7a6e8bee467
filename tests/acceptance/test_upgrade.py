"""`make up` of this version on an installation of an earlier one: what people and automation did is still there."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.installation import Installation, fetch, is_in_history

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

BEFORE = "f5c3f19"
"""The last commit before domains stood in the middle: other modules, other commands, an older schema."""


@pytest.fixture(scope="module")
def earlier() -> Iterator[Installation]:
    """An installation of the earlier version, running."""
    if not is_in_history(BEFORE):
        pytest.skip("this clone is shallow: the earlier version is not in its history")
    installation = Installation.create()
    try:
        installation.check_out(BEFORE)
        installation.run("make", "up")
        yield installation
    finally:
        installation.remove()


def eventually(what: Callable[[], Any], within: float = 60) -> Any:
    deadline = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


def api(installation: Installation, token: str, path: str, body: object = None) -> Any:
    status, answer = fetch(installation.url("ims_web_port", f"/api/v1{path}"), body=body, token=token)
    assert status in (200, 201), (path, status, answer)
    return answer


def test_incidents_runs_users_and_tokens_survive_an_upgrade(earlier: Installation) -> None:
    # As its own documentation said it.
    earlier.run("bin/ims", "demo")
    created = earlier.run("bin/ims", "token", "create", "--user", "admin", "--scope", "admin", "--json").stdout
    token = json.loads(created)["token"]
    api(earlier, token, "/users", {"name": "dora", "role": "responder", "password": "correct horse battery"})
    opened = api(earlier, token, "/incidents", {"title": "Backups are late", "severity": "low", "assignee": "dora"})
    before = {
        name: api(earlier, token, path)["items"]
        for name, path in {
            "incidents": "/incidents?limit=50", "runs": "/runs?limit=50", "users": "/users", "tokens": "/tokens",
            "sources": "/sources", "audit": "/audit?limit=100",
        }.items()
    }  # fmt: skip
    healed = next(one for one in before["incidents"] if one["service"] == "ims-web")
    timeline = api(earlier, token, f"/incidents/{healed['incident']}/timeline")["items"]

    earlier.check_out()
    earlier.run("make", "up")

    # The token of before still acts for its account.
    after = {
        "incidents": api(earlier, token, "/incidents?limit=50")["items"],
        "runs": api(earlier, token, "/runs?limit=50")["items"],
        "users": api(earlier, token, "/users")["items"],
        "tokens": api(earlier, token, "/tokens")["items"],
        "sources": api(earlier, token, "/sources")["items"],
    }
    assert {one["incident"] for one in before["incidents"]} <= {one["incident"] for one in after["incidents"]}
    kept = {one["incident"]: one for one in after["incidents"]}
    for one in before["incidents"]:
        for name in ("title", "status", "severity", "service", "assignee", "opened_at", "healed_at", "resolved_at"):
            assert kept[one["incident"]][name] == one[name], (one["incident"], name)
    assert kept[opened["incident"]]["assignee"] == "dora"
    runs = {one["run"]: one for one in after["runs"]}
    for one in before["runs"]:
        for name in ("rule", "playbook", "target", "started_at", "finished_at"):
            assert runs[one["run"]][name] == one[name], (one["run"], name)
        now = runs[one["run"]]
        assert (now["outcome"], now["ended_at"]) == (one["status"], one["verified_at"]), one["run"]
    assert {one["name"] for one in after["users"]} >= {"admin", "dora"}
    assert {one["token"] for one in before["tokens"]} <= {one["token"] for one in after["tokens"]}
    assert {one["name"] for one in before["sources"]} == {one["name"] for one in after["sources"]}
    later = api(earlier, token, f"/incidents/{healed['incident']}/timeline")["items"]
    assert [event["seq"] for event in later][: len(timeline)] == [event["seq"] for event in timeline]
    assert len(api(earlier, token, "/audit?limit=100")["items"]) >= len(before["audit"])

    # Every page and every list reads what the earlier version wrote.
    own = f"/incidents/{healed['incident']}"
    run = f"/runs/{before['runs'][0]['run']}"
    for path in (own, f"{own}/metrics", "/services", "/alerts", "/incidents/stats/summary", run, f"{run}/log"):
        api(earlier, token, path)

    # And it heals as before.
    status, ready = fetch(earlier.url("worker_metrics_port", "/health/ready"))
    assert status == 200, json.dumps(ready)
    assert "ims-web" in earlier.run("make", "demo").stdout
