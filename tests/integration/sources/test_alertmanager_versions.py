"""What Alertmanagers of two versions send and list, by the real programs."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ims.alerts.alertmanager import connect, fetch_status
from ims.alerts.parsers.alertmanager import parse
from ims.alerts.routing import Routing, read_routing
from ims.alerts.snapshot import Snapshot, fetch_deliverable, fetch_snapshot
from tests.support.alertmanager import NEWEST, debian_program, newest_program, running_alertmanager
from tests.support.http_server import Quiet, answering

# The first test that needs it builds the newest one, which takes minutes.
pytestmark = pytest.mark.timeout(1200)

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "alertmanager.md"

ROUTES = """
route:
  receiver: nobody
  group_by: [alertname]
  group_wait: 1s
  group_interval: 7m
  routes:
    - {matchers: ['team="night"'], receiver: muted, mute_time_intervals: [always]}
    - {matchers: ['team="day"'], receiver: muted, continue: true}
    - {matchers: ['team="day"'], receiver: ims, group_interval: 90s}
receivers: [{name: nobody}, {name: muted}, {name: ims}]
time_intervals: [{name: always, time_intervals: [{times: [{start_time: "00:00", end_time: "24:00"}]}]}]
"""


@pytest.fixture(params=["debian", NEWEST])
def program(request: pytest.FixtureRequest) -> str:
    return debian_program() if request.param == "debian" else newest_program()


def take(url: str, receiver: str | None) -> Snapshot:
    return asyncio.run(fetch_snapshot("shop", url, receiver, datetime.now(UTC)))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def names(snapshot: Snapshot) -> set[str]:
    return {one.notification.name for one in snapshot.firing.values()}


def test_an_alert_that_a_time_interval_mutes_is_not_missed(program: str, tmp_path: Path) -> None:
    with running_alertmanager(tmp_path, ROUTES, program=program) as alertmanager:
        knows_mutes = tuple(map(int, alertmanager.version().split(".")[:2])) >= (0, 28)
        alertmanager.fire("Muted", team="night")
        alertmanager.fire("Day", team="day")
        alertmanager.fire("Other")
        wait_until(lambda: names(take(alertmanager.url, None)) >= {"Other", "Day"})
        taken = take(alertmanager.url, "muted")
        # Of a receiver with intervals, an older version does not say which of its alerts are muted: none is opened.
        assert names(taken) == ({"Day"} if knows_mutes else set())
        # It has not resolved, though.
        assert len(taken.present) == 3
        assert names(take(alertmanager.url, None)) == {"Day", "Other"}
        # The same for what a truncated notification left out.
        fetched, rejected = asyncio.run(fetch_deliverable("shop", alertmanager.url, "muted", datetime.now(UTC)))
        assert ([one.name for one in fetched], rejected) == (["Day"] if knows_mutes else [], [])


def test_silenced_alerts_are_not_missed(program: str, tmp_path: Path) -> None:
    with running_alertmanager(tmp_path, ROUTES, program=program) as alertmanager:
        alertmanager.fire("Day", team="day")
        alertmanager.fire("Quiet", team="day")
        wait_until(lambda: names(take(alertmanager.url, "ims")) == {"Day", "Quiet"})
        alertmanager.silence("Quiet")
        wait_until(lambda: names(take(alertmanager.url, "ims")) == {"Day"})
        assert len(take(alertmanager.url, "ims").present) == 2


def test_the_wait_is_that_of_the_configuration(program: str, tmp_path: Path) -> None:
    async def fetch_routing(url: str) -> Routing:
        async with connect(url) as client:
            return read_routing((await fetch_status(client)).content)

    with running_alertmanager(tmp_path, ROUTES, program=program) as alertmanager:
        routing = asyncio.run(fetch_routing(alertmanager.url))
    assert {name: wait.total_seconds() for name, wait in routing.waits.items()} == {
        "nobody": 420,
        "muted": 420,
        "ims": 90,
    }
    assert routing.timed == {"muted"}


def test_an_alert_that_was_posted_with_its_end_alone_is_to_be_sent(program: str, tmp_path: Path) -> None:
    with running_alertmanager(tmp_path, ROUTES, program=program) as alertmanager:
        ends = datetime.now(UTC) + timedelta(minutes=10)
        alertmanager.post({"labels": {"alertname": "Future", "team": "day"}, "endsAt": ends.isoformat()})
        wait_until(lambda: names(take(alertmanager.url, "ims")) == {"Future"})
        [one] = take(alertmanager.url, "ims").firing.values()
    assert one.notification.starts_at is not None
    assert abs(one.notification.starts_at - ends) < timedelta(seconds=1)


@contextmanager
def receiving() -> Iterator[tuple[str, list[Any]]]:
    """A webhook: its URL, and the bodies that it received."""
    received: list[Any] = []

    class Handler(Quiet):
        def do_POST(self) -> None:
            received.append(json.loads(self.body()))
            self.answer(200)

    with answering(Handler) as url:
        yield f"{url}/alerts", received


def keys_of_version(version: str) -> set[str]:
    """The keys that the table of the page says a version sends."""
    found = set()
    wanted = tuple(map(int, version.split(".")[:2]))
    for line in PAGE.read_text().splitlines():
        if cells := re.fullmatch(r"\| (`[^|]+`) \| (all|0\.\d+) \|.*", line):
            is_sent = cells[2] == "all" or tuple(map(int, cells[2].split("."))) <= wanted
            found |= set(re.findall(r"`(\w+)`", cells[1])) if is_sent else set()
    return found


def test_the_page_says_what_a_version_sends(program: str, tmp_path: Path) -> None:
    with receiving() as (url, received):
        configuration = f"""
route: {{receiver: ims, group_by: [job], group_wait: 1s}}
receivers: [{{name: ims, webhook_configs: [{{url: "{url}", max_alerts: 1}}]}}]
"""
        with running_alertmanager(tmp_path, configuration, program=program) as alertmanager:
            version = alertmanager.version()
            alertmanager.post({"labels": {"alertname": "One"}}, {"labels": {"alertname": "Two"}})
            wait_until(lambda: bool(received))
    [body] = received
    keys = {*body, *body["alerts"][0]}
    assert keys == keys_of_version(version)
    assert parse(body, "shop", datetime.now(UTC)).truncated == 1


HOSTILE = {
    "no": "no",
    "number": "007",
    "object": "Disk full: 95%",
    "quotes": "say \"hi\" \\ and 'bye'",
    "lines": "first\n\tsecond: - x\n",
    "template": "{{ .Receiver }}",
    "alias": "*star &amp <tag>",
    "time": "2026-03-01",
    "empty": "",
    "letters": "Ünïcode \u2028 \U0001f525",
}


def test_the_custom_payload_of_the_page_arrives_as_it_is(tmp_path: Path) -> None:
    [block] = [one for one in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "payload:" in one]
    configuration = yaml.safe_load(block)
    [hook] = configuration["receivers"][0]["webhook_configs"]
    del hook["http_config"]
    configuration["route"] = {"receiver": "ims", "group_by": ["alertname"], "group_wait": "1s"}
    with receiving() as (url, received):
        hook["url"] = url
        text = yaml.safe_dump(configuration)
        with running_alertmanager(tmp_path, text, program=newest_program()) as alertmanager:
            labels = {"alertname": "DiskFull", "instance": "yes"}
            alertmanager.post(
                {"labels": labels, "annotations": HOSTILE, "generatorURL": "http://prometheus.example/?a=1&b"}
            )
            wait_until(lambda: bool(received))
    [body] = received
    parsed = parse(body, "shop", datetime.now(UTC))
    [notification] = parsed.notifications
    assert parsed.rejected == ()
    assert parsed.receiver == "ims"
    assert body["groupLabels"] == {"alertname": "DiskFull"}
    assert notification.labels == {**labels, "cluster": "eu-1"}
    assert notification.annotations == HOSTILE
    assert notification.generator_url == "http://prometheus.example/?a=1&b"
    assert notification.starts_at is not None
