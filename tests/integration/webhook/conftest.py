"""The webhook as it is really served, and as an application."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask.testing import FlaskClient

from ims.accounts.models import ApiToken
from ims.accounts.passwords import hash_token
from ims.core.db.engine import Database
from ims.core.settings import Settings
from tests.support.notifications import NOW, SOURCE, add_source
from tests.support.postgres import free_port
from tests.support.workers import environment_of
from webhook.app import DATABASE, create_app

MOST_BYTES = 2_000_000
TOKEN = "a token of the test: 0123456789"


@pytest.fixture
def source(database: Database) -> Database:
    """A source with a valid token."""
    with database.begin() as session:
        add_source(session)
        session.add(ApiToken(hash=hash_token(TOKEN), source=SOURCE, scopes=["alerts:write"], created_at=NOW))
    return database


@pytest.fixture
def client(settings: Settings, source: Database) -> Iterator[FlaskClient]:
    """The application without a server."""
    app = create_app(settings.model_copy(update={"max_body_bytes": 200_000}))
    yield app.test_client()
    app.extensions[DATABASE].dispose()


@dataclass
class Served:
    """The webhook behind Gunicorn with several processes."""

    port: int
    process: subprocess.Popen[bytes]

    def post(self, body: Any, token: str | None = TOKEN, path: str = "/alerts") -> tuple[int, dict[str, Any]]:
        """Status and JSON of the answer to a POST; `body` is bytes or becomes JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return self.ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers))

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        return self.ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}"))

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
            return str(answer.read().decode())

    def kill(self, chosen: Callable[[list[psutil.Process]], psutil.Process] | None = None) -> None:
        """SIGKILL to the master, or to that one of its processes which is chosen."""
        processes = psutil.Process(self.process.pid).children() if chosen else []
        if chosen and processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                chosen(processes).kill()
            return
        self.process.kill()
        self.process.wait()

    @staticmethod
    def ask(request: urllib.request.Request) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - ours
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {**json.load(error), "headers": dict(error.headers)}


def serve(settings: Settings, directory: Path, port: int | None = None) -> Served:
    """Start the webhook as the platform does, with four processes, on a free port if none is given."""
    return _serve("webhook", ["--workers", "4", "webhook.app:create_app()"], settings, directory, port or free_port())


def serve_pages(settings: Settings, directory: Path) -> Served:
    """Start ims-web as the platform does, on a free port."""
    return _serve("web", ["ims.programs.web:create_app()"], settings, directory, free_port())


def _serve(program: str, arguments: list[str], settings: Settings, directory: Path, port: int) -> Served:
    environment = environment_of(settings, directory) | {
        "IMS_STATE_DIR": str(directory),
        "IMS_WEBHOOK_PORT": str(port),
        "IMS_WEB_PORT": str(port),
        "IMS_MAX_BODY_BYTES": str(MOST_BYTES),
        "IMS_DATABASE_STATEMENT_SECONDS": str(settings.database_statement_seconds),
        "IMS_REQUEST_HEADER_SECONDS": str(settings.request_header_seconds),
        "IMS_REQUEST_BODY_SECONDS": str(settings.request_body_seconds),
        "IMS_CONNECTIONS_PER_ADDRESS": str(settings.connections_per_address),
        "IMS_SECRET_KEY": settings.secret_key.get_secret_value() if settings.secret_key else "",
    }
    command = [sys.executable, "-m", "gunicorn", "-c", f"python:ims.programs.{program}_gunicorn", *arguments]
    log = directory / f"{program}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    served = Served(port, process)
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            if served.get("/health")[0] == 200:
                return served
        if process.poll() is not None or time.monotonic() > deadline:
            stop(served)
            raise RuntimeError(log.read_text()[-3000:])
        time.sleep(0.1)


def stop(served: Served) -> None:
    """End the server and its processes, at once: no request is under way."""
    served.process.send_signal(signal.SIGINT)
    try:
        served.process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(served.process.pid, signal.SIGKILL)
        served.process.wait()


@pytest.fixture(scope="session")
def served(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The webhook behind Gunicorn, started once for each PostgreSQL."""
    served = serve(settings, tmp_path_factory.mktemp("webhook"))
    yield served
    stop(served)
