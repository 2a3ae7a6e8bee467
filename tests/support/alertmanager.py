"""A real Alertmanager for tests, where Debian's package is installed."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import free_port

CONFIGURATION = """
route: {receiver: ims, routes: [{receiver: others, matchers: ['team="others"']}]}
receivers: [{name: ims}, {name: others}]
"""


@dataclass
class Alertmanager:
    """A running one. As long as it has no other configuration it tells nobody anything; it only knows what fires."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fire(self, name: str, *, since: timedelta = timedelta(minutes=5), **labels: str) -> None:
        """As Prometheus does: the alert fires, and expires in five minutes unless it is sent again."""
        self._alert(name, labels, started=datetime.now(UTC) - since, ends=datetime.now(UTC) + timedelta(minutes=5))

    def resolve(self, name: str, **labels: str) -> None:
        now = datetime.now(UTC)
        self._alert(name, labels, started=now - timedelta(minutes=5), ends=now - timedelta(seconds=1))

    def silence(self, name: str) -> None:
        now = datetime.now(UTC)
        self._post(
            "silences",
            {
                "matchers": [{"name": "alertname", "value": name, "isRegex": False, "isEqual": True}],
                "startsAt": now.isoformat(),
                "endsAt": (now + timedelta(hours=1)).isoformat(),
                "createdBy": "alice",
                "comment": "known",
            },
        )

    def _alert(self, name: str, labels: dict[str, str], started: datetime, ends: datetime) -> None:
        alert = {"labels": {"alertname": name, **labels}, "startsAt": started.isoformat(), "endsAt": ends.isoformat()}
        self._post("alerts", [alert])

    def _post(self, kind: str, content: Any) -> None:
        request = urllib.request.Request(  # noqa: S310 - ours
            f"{self.url}/api/v2/{kind}", json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - ours

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=2) as answer:  # noqa: S310 - ours
            return bytes(answer.read())

    def wait_for(self, path: str, accepts: Any) -> None:
        """Wait until what it answers is accepted."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(OSError):
                if accepts(self._get(path)):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"Alertmanager's {path} is not as expected")

    def wait_for_state(self, **states: str) -> None:
        """Wait until the alerts of these names are in these states, and there are no others."""

        def accepts(body: bytes) -> bool:
            found = {alert["labels"]["alertname"]: alert["status"]["state"] for alert in json.loads(body)}
            return found == states

        self.wait_for("/api/v2/alerts", accepts)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running_alertmanager(
    directory: Path, configuration: str = CONFIGURATION, port: int | None = None
) -> Iterator[Alertmanager]:
    """Start one, alone, with its data under `directory`, on a free port or on that of one that was stopped."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("Alertmanager is not installed on this machine")
    (directory / "alertmanager.yml").write_text(configuration)
    port = port or free_port()
    command = [
        program, f"--config.file={directory}/alertmanager.yml", f"--storage.path={directory}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with (directory / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    running = Alertmanager(port, process)
    try:
        running.wait_for("/-/ready", bool)
        yield running
    finally:
        running.stop()
