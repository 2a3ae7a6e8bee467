"""The configuration that the role alertmanager writes, in a real Alertmanager: where its notifications go."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.support.alertmanager import running_alertmanager
from tests.support.http_server import Quiet, answering
from tests.support.workers import wait_until

ROLE = Path(__file__).resolve().parents[3] / "roles/alertmanager"


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Its address, and what came: path and name of the alert."""
    received: list[tuple[str, str]] = []

    class Listener(Quiet):
        def do_POST(self) -> None:
            body = json.loads(self.body())
            received.extend((self.path, alert["labels"]["alertname"]) for alert in body["alerts"])
            self.answer(202)

    with answering(Listener) as url:
        yield url, received


def configuration(directory: Path, webhook_url: str) -> str:
    """The role's template with the role's own defaults, as for the local inventory."""
    environment = Environment(loader=FileSystemLoader(ROLE / "templates"), undefined=StrictUndefined, autoescape=False)  # noqa: S701 - no page
    environment.filters["to_json"] = json.dumps
    (directory / "secrets").mkdir()
    (directory / "secrets/alertmanager_token").write_text("token")
    given = {
        "webhook_url": webhook_url, "ims_state_dir": str(directory), "alertmanager_group_wait": "0s",
        "alertmanager_group_interval": "5s", "alertmanager_repeat_interval": "1h",
    }  # fmt: skip
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    values = {
        name: environment.from_string(value).render(given)
        for name, value in defaults.items()
        if isinstance(value, str) and name.startswith(("alertmanager_webhook", "alertmanager_heartbeat"))
    }
    times = {"alertmanager_wait": "0s", "alertmanager_interval": "5s", "alertmanager_repeat": "1h"}
    template = environment.get_template("alertmanager.yml.j2")
    return template.render(**values, **times, alertmanager_max_alerts=defaults["alertmanager_max_alerts"])


def test_the_watchdog_is_a_heartbeat_and_no_alert(webhook: tuple[str, list[tuple[str, str]]], tmp_path: Path) -> None:
    url, received = webhook
    with running_alertmanager(tmp_path, configuration(tmp_path, url)) as alertmanager:
        alertmanager.fire("Watchdog", severity="none")
        alertmanager.fire("ServiceDown", service="checkout", severity="critical")
        assert wait_until(lambda: len(received) >= 2, 30)
        assert sorted(received) == [("/alerts", "ServiceDown"), ("/heartbeats/prometheus", "Watchdog")]
