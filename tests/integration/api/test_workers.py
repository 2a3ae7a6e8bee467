"""Workers by the REST API: live workers, the leader, and unserved pools."""

import pytest

from ims.core.db.engine import Database
from ims.core.queue import Job, defer, runs_queue
from tests.integration.api.conftest import Ask, errors_of
from tests.support.registered import OK_RUN, add_worker


def test_workers_are_listed_with_what_they_do(ask: Ask, database: Database) -> None:
    with database.begin() as session:
        add_worker(session, "one", "default", "edge", modules={"watch_heartbeats": OK_RUN})
        add_worker(session, "two", silent=11)
    answer = ask("victor", "GET", "/workers").get_json()
    one, two = answer["items"]
    assert (one["host"], one["state"], one["is_leader"], one["pools"]) == ("one", "working", True, ["default", "edge"])
    assert one["capacity"] == {"runs": 4, "fast": 8}
    assert [run["module"] for run in one["modules"]] == ["watch_heartbeats"]
    assert (two["host"], two["state"], two["is_leader"]) == ("two", "lost", False)
    assert answer["unserved_pools"] == []


def test_an_unserved_pool_is_listed_while_jobs_wait_in_it(ask: Ask, database: Database) -> None:
    with database.begin() as session:
        add_worker(session, "one")
        for pool in ("edge", "edge", "default"):
            defer(session, Job.EXECUTE_RUN, queue=runs_queue(pool), run_id="none")
    assert ask("victor", "GET", "/workers").get_json()["unserved_pools"] == [{"pool": "edge", "jobs": 2}]
    with database.begin() as session:
        add_worker(session, "two", "edge", silent=11)
    assert ask("victor", "GET", "/workers").get_json()["unserved_pools"] == [{"pool": "edge", "jobs": 2}]
    with database.begin() as session:
        add_worker(session, "two", "edge")
    assert ask("victor", "GET", "/workers").get_json()["unserved_pools"] == []


def test_workers_are_listed_a_page_at_a_time(ask: Ask, database: Database) -> None:
    with database.begin() as session:
        for name in ("a", "b", "c"):
            add_worker(session, name)
    first = ask("bob", "GET", "/workers?limit=2").get_json()
    rest = ask("bob", "GET", f"/workers?cursor={first['next']}").get_json()
    assert [one["host"] for one in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert rest["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "cursor=x"])
def test_a_wrong_parameter_is_named(ask: Ask, query: str) -> None:
    answer = ask("victor", "GET", f"/workers?{query}")
    assert query.partition("=")[0] in errors_of(answer, answer.status_code)
    assert answer.status_code in (400, 422)
