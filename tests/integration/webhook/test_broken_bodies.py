"""Bodies that break off or have broken chunk sizes, at the real servers: the sender's error, never ours."""

import socket
from collections.abc import Iterator

import pytest

from ims.core.db.engine import Database
from ims.core.settings import Settings
from tests.integration.webhook.conftest import TOKEN, Served, serve_pages, stop

CHUNKED = {
    "not hexadecimal": b"zz\r\n{}\r\n0\r\n\r\n",
    "negative": b"-1\r\n{}\r\n0\r\n\r\n",
    "an underscore": b"1_0\r\n{}\r\n0\r\n\r\n",
    "a prefix": b"0x2\r\n{}\r\n0\r\n\r\n",
    "empty": b"\r\n{}\r\n0\r\n\r\n",
    "longer than its data": b"5\r\n{}\r\n0\r\n\r\n",
    "shorter than its data": b"1\r\n{}\r\n0\r\n\r\n",
    "enormous": b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n",
    "a NUL": b"\x002\r\n{}\r\n0\r\n\r\n",
}


@pytest.fixture(scope="module")
def pages(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = serve_pages(settings, tmp_path_factory.mktemp("web"))
    yield served
    stop(served)


def statuses(port: int, path: str, framing: bytes, body: bytes) -> set[int]:
    """The status codes of all answers to a request; the sender closes its side after the body."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(head + framing + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return {int(line[9:12]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")}


@pytest.mark.parametrize("name", CHUNKED)
def test_a_broken_chunk_is_the_senders_error(served: Served, pages: Served, source: Database, name: str) -> None:
    for port in (served.port, pages.port):
        path = "/alerts" if port == served.port else "/api/v1/alerts"
        found = statuses(port, path, b"Transfer-Encoding: chunked", CHUNKED[name])
        assert not {code for code in found if code < 400 or code >= 500}, (path, found)


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: -1",
        b"Content-Length: x",
        b"Content-Length: 2, 3",
        b"Content-Length: 2\r\nContent-Length: 3",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: unknown",
    ],
)
def test_a_length_that_nobody_understands_is_never_our_error(
    served: Served, pages: Served, source: Database, framing: bytes
) -> None:
    for port in (served.port, pages.port):
        path = "/alerts" if port == served.port else "/api/v1/alerts"
        assert not {code for code in statuses(port, path, framing, b"{}") if code in (200, 202, 500)}, path


def test_a_body_that_breaks_off_is_never_our_error(served: Served, pages: Served, source: Database) -> None:
    for port, path in ((served.port, "/alerts"), (pages.port, "/api/v1/alerts")):
        assert not {code for code in statuses(port, path, b"Content-Length: 100", b'{"alerts"') if code != 400}
