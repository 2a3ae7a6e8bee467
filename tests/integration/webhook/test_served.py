"""The webhook as it is served: several processes, threads, real requests."""

import copy
import http.client
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from ims.core.db.engine import Database
from tests.integration.webhook.conftest import MOST_BYTES, TOKEN, Served
from tests.support.notifications import alertmanager_alert, alertmanager_body


def counts(database: Database) -> dict[str, Any]:
    with database.begin() as session:
        return dict(
            session.execute(
                text(
                    "SELECT (SELECT count(*) FROM alert) AS alerts, (SELECT count(*) FROM episode) AS episodes,"
                    " (SELECT sum(notifications) FROM episode) AS notifications,"
                    " (SELECT count(*) FROM incident) AS incidents,"
                    " (SELECT count(*) FROM timeline_event) AS events,"
                    " (SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'decide') AS decides"
                )
            )
            .mappings()
            .one()
        )


def at_once(served: Served, bodies: list[Any]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(served.post, bodies))
    assert {status for status, _ in answers} == {202}
    return [answer for _, answer in answers]


def test_the_same_payload_100_times_at_once_is_one_incident_and_one_decision(served: Served, source: Database) -> None:
    body = alertmanager_body(alertmanager_alert())
    answers = at_once(served, [body] * 100)
    assert Counter(answer["alerts"][0]["result"] for answer in answers) == {"opened": 1, "duplicate": 99}
    once = {"alerts": 1, "episodes": 1, "incidents": 1, "events": 2, "decides": 1}
    assert counts(source) == {**once, "notifications": 100}

    later = copy.deepcopy(body)
    later["alerts"][0]["startsAt"] = "2026-03-01T12:00:01.5Z"
    answers = at_once(served, [later] * 20)
    assert Counter(answer["alerts"][0]["result"] for answer in answers) == {"extended": 1, "duplicate": 19}
    assert counts(source) == {**once, "notifications": 120}


def test_different_alerts_of_one_key_at_once_are_one_incident(served: Served, source: Database) -> None:
    bodies = [
        alertmanager_body(*(alertmanager_alert(device=f"sd-{(n + shift) % 20}") for n in range(20)))
        for shift in range(12)
    ]
    at_once(served, bodies)
    found = counts(source)
    assert (found["alerts"], found["episodes"], found["notifications"], found["incidents"]) == (20, 20, 240, 1)


def test_batches_that_share_incidents_in_opposite_orders_do_not_deadlock(served: Served, source: Database) -> None:
    firing = [alertmanager_alert(f"Alert{n}") for n in range(30)]
    resolved = [alertmanager_alert(f"Alert{n}", status="resolved", ends_at="2026-03-01T12:05:00Z") for n in range(30)]
    mixed = [firing, firing[::-1], resolved, resolved[::-1], [*firing[:15], *resolved[15:]]]
    at_once(served, [alertmanager_body(*alerts) for alerts in mixed * 3])
    with source.begin() as session:
        wrong = session.scalar(
            text(
                "SELECT count(*) FROM incident WHERE (status = 'resolved') = EXISTS"
                " (SELECT 1 FROM episode WHERE incident_id = incident.id AND closed_at IS NULL)"
            )
        )
    assert wrong == 0


def test_what_all_processes_took_is_counted_together(served: Served, source: Database) -> None:
    def taken() -> dict[str, float]:
        lines = served.text("/metrics").splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    before = taken()
    at_once(served, [alertmanager_body(alertmanager_alert(f"Counted{n}"), 7) for n in range(20)])
    after = taken()

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grown('alerts_received_total{severity="critical"}') == 20
    assert grown('alerts_correlated_total{result="opened"}') == 20
    assert grown('alerts_rejected_total{reason="not_an_object"}') == 20
    assert grown("alert_processing_seconds_count") == 20


def test_a_killed_process_loses_nothing_of_what_was_counted(served: Served, source: Database) -> None:
    at_once(served, [alertmanager_body(alertmanager_alert(f"Killed{n}")) for n in range(10)])
    received = [line for line in served.text("/metrics").splitlines() if line.startswith("alerts_received_total")]
    children = _children(served.process.pid)
    children[0].kill()
    deadline = time.monotonic() + 10
    while len(_children(served.process.pid)) < len(children) or children[0].is_running():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert served.get("/health/ready")[0] == 200
    assert received == [
        line for line in served.text("/metrics").splitlines() if line.startswith("alerts_received_total")
    ]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_over_the_cap_is_refused_with_and_without_a_content_length(
    served: Served, source: Database, is_chunked: bool
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    pieces = iter([b" " * 65_536] * (MOST_BYTES // 65_536 + 1))
    body = pieces if is_chunked else b"".join(pieces)
    connection.request("POST", "/alerts", body, {"Authorization": f"Bearer {TOKEN}"}, encode_chunked=is_chunked)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (413, "application/problem+json")
    connection.close()
    assert served.post(alertmanager_body(alertmanager_alert()))[0] == 202


def _children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children()
