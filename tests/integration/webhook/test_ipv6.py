"""The programs listen on IPv6 addresses, written with and without brackets."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ims.core.settings import Settings
from ims.engine.endpoint import Endpoint, Pulse
from tests.support.postgres import free_port
from tests.support.workers import environment_of


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def status_of(host: str, port: int, path: str = "/health") -> int:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture(params=["::1", "[::1]", "::"])
def address(request: pytest.FixtureRequest) -> str:
    assert _has_ipv6(), "this machine has no IPv6 loopback address"
    return str(request.param)


@pytest.fixture(params=["web", "webhook"])
def port(request: pytest.FixtureRequest, address: str, settings: Settings, tmp_path: Path) -> Iterator[int]:
    """The port of a program that listens on the address."""
    port = free_port()
    program = {"web": "ims.programs.web:create_app()", "webhook": "webhook.app:create_app()"}[request.param]
    environment = environment_of(settings, tmp_path) | {
        "IMS_STATE_DIR": str(tmp_path),
        "IMS_WEB_HOST": address,
        "IMS_WEBHOOK_HOST": address,
        "IMS_WEB_PORT": str(port),
        "IMS_WEBHOOK_PORT": str(port),
        "IMS_SECRET_KEY": "a key of the test",
    }
    command = [sys.executable, "-m", "gunicorn", "-c", f"python:ims.programs.{request.param}_gunicorn", program]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                status_of("::1", port)
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def test_a_program_answers_on_its_ipv6_address(port: int) -> None:
    assert status_of("::1", port) == 200


def test_the_worker_answers_on_its_ipv6_address() -> None:
    port = free_port()
    endpoint = Endpoint("::1", port, Pulse())
    endpoint.start()
    try:
        assert status_of("::1", port) == 200
    finally:
        endpoint.stop()
