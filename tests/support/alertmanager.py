"""Real Alertmanagers for tests: Debian's, where its package is installed, and a newer one, where Go can build it."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import free_port

CONFIGURATION = """
route:
  receiver: ims
  group_wait: 0s
  group_interval: 1s
  routes: [{receiver: others, matchers: ['team="others"']}]
receivers: [{name: ims}, {name: others}]
"""


NEWEST = "0.35.0"
_MODULE = f"github.com/prometheus/alertmanager@v{NEWEST}"
_SUM = "h1:nbXMjr+P2JaoFd7aHNDxKifEwTPN+TWxM0gNPonuH5w="
"""The checksum of the module, as in a go.sum."""
_BUILD = ("build", "-ldflags", f"-X github.com/prometheus/common/version.Version={NEWEST}")


def debian_program() -> str:
    """Debian's Alertmanager (0.25 in Debian 12), or whichever is on PATH."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("Alertmanager is not installed on this machine")
    return program


def newest_program() -> str:
    """Alertmanager `NEWEST`, built once from its Go module and kept outside the checkout, by a digest of its source."""
    digest = hashlib.sha256(" ".join([_MODULE, _SUM, *_BUILD]).encode()).hexdigest()[:16]
    program = _cache() / f"alertmanager-{digest}" / "alertmanager"
    if not program.exists() and shutil.which("go") is None:
        pytest.skip("Go is not installed on this machine")
    program.parent.mkdir(parents=True, exist_ok=True)
    with (program.parent / ".lock").open("w") as lock:
        # Several processes of pytest want it at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(program)
    return str(program)


def _cache() -> Path:
    if given := os.environ.get("IMS_CI_CACHE"):
        return Path(given)
    return Path("/var/cache/ims-ci") if os.geteuid() == 0 else Path.home() / ".cache" / "ims-ci"


def _build(program: Path) -> None:
    module = _go("mod", "download", "-json", _MODULE, directory=program.parent)
    downloaded = json.loads(module)
    if downloaded["Sum"] != _SUM:
        raise RuntimeError(f"{_MODULE} has the checksum {downloaded['Sum']} instead of {_SUM}")
    source = program.parent / "source"
    shutil.rmtree(source, ignore_errors=True)
    # Go's cache is read-only. Only contents are copied, so that the built pages, which the module lacks and its program
    # embeds, can be added.
    shutil.copytree(downloaded["Dir"], source, copy_function=shutil.copyfile)
    for folder in (source, *source.rglob("*/")):
        folder.chmod(0o755)
    pages = source / "ui" / "app" / "dist"
    pages.mkdir(parents=True, exist_ok=True)
    (pages / "empty").touch()
    _go(*_BUILD, "-o", str(program.with_suffix(".new")), "./cmd/alertmanager", directory=source)
    shutil.rmtree(source)
    program.with_suffix(".new").rename(program)


def _go(*arguments: str, directory: Path) -> str:
    done = subprocess.run(["go", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"go {arguments[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


def in_groups(listing: Iterable[Any]) -> list[Any]:
    """Groups as `GET /api/v2/alerts/groups` lists them, one for each receiver of these alerts."""
    alerts = [alert for alert in listing if isinstance(alert, dict) and isinstance(alert.get("receivers"), list)]
    names = sorted({receiver["name"] for alert in alerts for receiver in alert["receivers"]})
    return [
        {"receiver": {"name": name}, "labels": {}, "alerts": [a for a in alerts if {"name": name} in a["receivers"]]}
        for name in names
    ]


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

    def post(self, *alerts: dict[str, Any]) -> None:
        """Post alerts as they are."""
        self._post("alerts", list(alerts))

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

    def version(self) -> str:
        return str(json.loads(self._get("/api/v2/status"))["versionInfo"]["version"])

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
    directory: Path, configuration: str = CONFIGURATION, port: int | None = None, program: str | None = None
) -> Iterator[Alertmanager]:
    """Start one, alone, with its data under `directory`, on a free port or on that of one that was stopped.

    By default it is `debian_program`.
    """
    program = program or debian_program()
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
