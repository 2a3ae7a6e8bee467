"""Runs by the REST API: listed, read, and their logs."""

from datetime import timedelta

import pytest

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.runs.models import Run, RunOutcome
from tests.integration.api.conftest import Ask, errors_of
from tests.support.history import RULE, Tale, add_log


@pytest.fixture
def runs(database: Database) -> list[Run]:
    """One that failed, one that healed, and one that goes on; the second has a log."""
    with database.begin() as session:
        now = utc_now()
        down = Tale(session, now - timedelta(minutes=9), "checkout", "checkout is down")
        slow = Tale(session, now - timedelta(minutes=1), "search", "search is slow")
        made = [
            down.run(2, 8, RunOutcome.FAILED, failed_task="Restart it"),
            down.run(60, 8, RunOutcome.HEALED, verify=3, attempt=2),
            slow.run(1, 1, RunOutcome.RUNNING),
        ]
        lines = [("runner_on_ok", f"\x1b[32mok: line {number}\x1b[0m", "Restart it") for number in range(5)]
        add_log(session, made[1], [("playbook_on_start", "PLAY [Restart a service]", None), *lines])
        return made


def _name(run: Run) -> str:
    return f"R-{run.number}"


def test_a_run_shows_its_playbook_target_and_outcome(ask: Ask, runs: list[Run]) -> None:
    failed = ask("victor", "GET", f"/runs/{_name(runs[0])}").get_json()
    assert (failed["status"], failed["outcome"]) == ("failed", "failed")
    assert (failed["failed_task"], failed["rule"], failed["verification"]) == ("Restart it", RULE, None)
    assert (failed["target"], failed["seconds"], failed["attempt"]) == ("checkout", 8.0, 1)
    assert ask("victor", "GET", f"/incidents/{failed['incident']}").get_json()["title"] == "checkout is down"
    assert ask("victor", "GET", f"/runs/{failed['id']}").get_json() == failed


def test_runs_are_filtered_and_listed_a_page_at_a_time(ask: Ask, runs: list[Run]) -> None:
    first = ask("bob", "GET", "/runs?kind=heal&limit=2").get_json()
    rest = ask("bob", "GET", f"/runs?kind=heal&limit=2&cursor={first['next']}").get_json()
    assert [one["run"] for one in first["items"] + rest["items"]] == [_name(run) for run in reversed(runs)]
    incident = first["items"][1]["incident"]
    for query, found in {
        "status=running": [runs[2]],
        f"target=checkout&rule={RULE}": [runs[1], runs[0]],
        f"incident={incident}": [runs[1], runs[0]],
        f"incident={incident.removeprefix('INC-')}&outcome=healed": [runs[1]],
        "status=succeeded": [runs[1]],
        "incident=INC-999999": [],
        "rule=another": [],
    }.items():
        shown = ask("bob", "GET", f"/runs?{query}").get_json()["items"]
        assert [one["run"] for one in shown] == [_name(run) for run in found], query


@pytest.mark.parametrize(
    "query",
    [
        "status=done",
        "status=healed",
        "outcome=done",
        "incident=INC-0",
        "incident=x",
        "limit=201",
        "target=%00",
        "state=healed",
    ],
)
def test_a_wrong_parameter_is_named(ask: Ask, query: str) -> None:
    assert query.partition("=")[0] in errors_of(ask("victor", "GET", f"/runs?{query}"))


def test_a_log_is_read_in_parts_and_as_text(ask: Ask, runs: list[Run]) -> None:
    path = f"/runs/{_name(runs[1])}/log"
    first = ask("victor", "GET", f"{path}?limit=4").get_json()
    rest = ask("victor", "GET", f"{path}?after={first['next']}").get_json()
    assert [line["counter"] for line in first["items"] + rest["items"]] == [1, 2, 3, 4, 5, 6]
    assert (rest["next"], rest["active"], "\x1b[32m" in rest["items"][0]["stdout"]) == (None, False, True)
    text = ask("victor", "GET", f"{path}.txt")
    assert text.mimetype == "text/plain"
    assert text.text == "PLAY [Restart a service]\n" + "".join(f"ok: line {number}\n" for number in range(5))
    assert ask("victor", "GET", f"/runs/{_name(runs[2])}/log").get_json() == {
        "items": [], "next": None, "active": True,
    }  # fmt: skip
    assert list(errors_of(ask("victor", "GET", f"{path}?after={2**31}"))) == ["after"]


@pytest.mark.parametrize("reference", ["R-999999", "R-0", "R-", "x", "%00", "9" * 30])
@pytest.mark.parametrize("part", ["", "/log", "/log.txt"])
def test_an_unknown_run_is_not_found(ask: Ask, reference: str, part: str) -> None:
    answer = ask("bob", "GET", f"/runs/{reference}{part}")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
