"""Clients that send slowly, or nothing at all, cost nobody anything."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from ims.core.db.engine import Database
from ims.core.settings import Settings
from tests.integration.webhook.conftest import TOKEN, Served, serve, serve_pages, stop
from tests.support.notifications import alertmanager_alert, alertmanager_body

HALF_HEAD = b"POST /alerts HTTP/1.1\r\nHost: ims\r\nContent-Le"
HALF_BODY = b"POST /alerts HTTP/1.1\r\nHost: ims\r\nContent-Length: 1000\r\n\r\n{"


@pytest.fixture(params=["webhook", "web"], scope="module")
def program(
    request: pytest.FixtureRequest, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Either program, with short deadlines."""
    short = settings.model_copy(update={"request_header_seconds": 1.5, "request_body_seconds": 1.5})
    directory = tmp_path_factory.mktemp(request.param)
    served = serve(short, directory) if request.param == "webhook" else serve_pages(short, directory)
    yield served
    stop(served)


def connect(served: Served, *sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", served.port), 10)
    for piece in sent:
        connection.sendall(piece)
    return connection


def everything(connection: socket.socket) -> bytes:
    """What the server sends until it ends the connection."""
    received = b""
    with connection, contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            received += piece
    return received


@contextlib.contextmanager
def held(served: Served, number: int, *sent: bytes) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(served, *sent)) for _ in range(number)]


def test_idle_and_half_sent_connections_stop_nobody(program: Served) -> None:
    with held(program, 120), held(program, 60, HALF_HEAD), held(program, 60, HALF_BODY):
        for _ in range(5):
            began = time.monotonic()
            assert program.get("/health")[0] == 200
            assert program.get("/health/ready")[0] == 200
            assert time.monotonic() - began < 5


@pytest.mark.parametrize(("sent", "status"), [(b"", b""), (HALF_HEAD, b"408"), (HALF_BODY, b"408")])
def test_who_does_not_go_on_gets_408_and_is_ended(program: Served, sent: bytes, status: bytes) -> None:
    connection = connect(program, *([sent] if sent else []))
    connection.settimeout(8)
    answer = everything(connection)
    assert answer.partition(b"\r\n")[0].split(b" ")[1:2] == ([status] if status else [])
    if status:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == 408


def test_a_drop_now_and_then_does_not_prolong_the_deadline(program: Served) -> None:
    with connect(program, b"GET /health HTTP/1.1\r\n") as connection, contextlib.suppress(ConnectionError):
        for number in range(20):
            connection.sendall(b"X-%d: 1\r\n" % number)
            time.sleep(0.2)
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_whoever_holds_too_many_connections_pushes_out_himself(
    settings: Settings, source: Database, tmp_path: Path
) -> None:
    served = serve_pages(settings.model_copy(update={"connections_per_address": 20}), tmp_path)
    try:
        with held(served, 60) as connections:
            assert served.get("/health")[0] == 200
            connections[0].settimeout(5)
            assert everything(connections[0]) == b""
        assert 'ims_http_connections_closed_total{limit="address"}' in served.text("/metrics")
    finally:
        stop(served)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
        (b"GET / HTTP/1.1\r\nHost: ims\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /alerts HTTP/1.1\r\nHost: ims\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", b"400"),
        (b"POST /alerts HTTP/1.1\r\nHost: ims\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: ims\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: ims\r\n" + b"X: 1\r\n" * 120 + b"\r\n", b"431"),
    ],
)
def test_what_is_not_http_is_a_problem_document(program: Served, sent: bytes, status: bytes) -> None:
    answer = everything(connect(program, sent))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert b"Content-Type: application/problem+json" in head
    assert json.loads(body)["status"] == int(status)


def test_requests_sent_together_are_answered_in_their_order(program: Served) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: ims\r\n\r\n"
    last = b"GET /health/ready HTTP/1.1\r\nHost: ims\r\nConnection: close\r\n\r\n"
    answer = everything(connect(program, request * 50 + last))
    assert answer.count(b"HTTP/1.1 200 OK") == 51
    assert answer.rindex(b'"database"') > answer.rindex(b'{"status": "ok"}')


def test_an_old_client_without_keep_alive_is_served(program: Served) -> None:
    answer = everything(connect(program, b"GET /health/ready HTTP/1.0\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close" in answer


def test_a_body_that_waits_for_leave_gets_it(program: Served) -> None:
    head = b"POST /alerts HTTP/1.1\r\nHost: ims\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with connect(program, head) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"{}")
        assert connection.recv(100).startswith(b"HTTP/1.1 4")


def test_a_request_under_way_is_answered_when_the_program_ends(
    settings: Settings, source: Database, tmp_path: Path
) -> None:
    served = serve(settings, tmp_path)
    body = json.dumps(alertmanager_body(alertmanager_alert())).encode()
    head = f"POST /alerts HTTP/1.1\r\nHost: ims\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection = connect(served, head.encode() + body[:-1])
    time.sleep(0.5)
    served.process.terminate()
    time.sleep(0.5)
    connection.sendall(body[-1:])
    assert everything(connection).startswith(b"HTTP/1.1 202 ")
    assert served.process.wait(15) == 0


def test_fifty_busy_clients_leave_health_alone(settings: Settings, source: Database, tmp_path: Path) -> None:
    """Busy is not down: while every thread has a request, health answers, and no process is replaced."""
    served = serve_pages(settings, tmp_path)
    try:
        processes = {child.pid for child in psutil.Process(served.process.pid).children()}
        ends = time.monotonic() + 60

        def ask(_: int) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
            count = 0
            while time.monotonic() < ends:
                connection.request("GET", "/sign-in")
                count += connection.getresponse().read() != b""
            connection.close()
            return count

        with ThreadPoolExecutor(50) as pool:
            asked = [pool.submit(ask, number) for number in range(50)]
            while time.monotonic() < ends:
                assert served.get("/health")[0] == 200
                time.sleep(0.5)
            assert all(one.result() for one in asked)
        assert {child.pid for child in psutil.Process(served.process.pid).children()} == processes
    finally:
        stop(served)
