"""The requests to an Alertmanager, against real servers that answer slowly, by halves, or not at all."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from ims.alerts.alertmanager import AlertmanagerAway, connect, fetch_alerts, fetch_groups
from ims.core.errors import ConfigurationFaulty


@pytest.mark.parametrize(
    "address",
    [
        "ftp://alerts.example",
        "alerts.example:9093",
        "http:///api",
        "http://alerts.example:99999",
        "http://[::1",
        "http://a b",
        "http://xn--\u00fc.example",
    ],
)
def test_an_address_that_is_none_is_refused_before_any_request(address: str) -> None:
    async def open_it() -> None:
        async with connect(address):
            pass

    with pytest.raises(ConfigurationFaulty, match="http:// or https:// with a host"):
        asyncio.run(open_it())


@contextmanager
def sending(*parts: bytes, every: float = 0.0, host: str = "127.0.0.1") -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers each request by these parts, with a pause before each, and then closes the connection.

    Gives its URL and the requests it got.
    """
    requests: list[bytes] = []
    is_over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            requests.append(connection.recv(65536))
            for part in parts:
                if is_over.wait(every):
                    return
                connection.sendall(part)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threads.append(threading.Thread(target=answer, args=(connection,)))
                threads[-1].start()

    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        threads = [threading.Thread(target=serve)]
        threads[0].start()
        place = f"[{host}]" if ":" in host else host
        try:
            yield f"http://{place}:{listening.getsockname()[1]}/am/", requests
        finally:
            is_over.set()
            listening.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


async def fetch(url: str, deadline: float = 10) -> list[object]:
    async with connect(url, deadline) as client:
        return await fetch_alerts(client)


EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_path_of_the_address_is_kept_and_no_compression_is_asked_for(host: str) -> None:
    with sending(EMPTY, host=host) as (url, requests):
        assert asyncio.run(fetch(url)) == []
    [request] = requests
    assert request.startswith(b"GET /am/api/v2/alerts HTTP/1.1\r\n")
    assert b"accept-encoding: identity" in request.lower()


def test_the_name_of_a_receiver_is_no_pattern() -> None:
    async def fetch_it(url: str) -> None:
        async with connect(url) as client:
            await fetch_groups(client, "a.b|.*")

    with sending(EMPTY) as (url, requests):
        asyncio.run(fetch_it(url))
    assert b"receiver=a%5C.b%5C%7C%5C.%5C%2A" in requests[0]


@pytest.mark.parametrize(
    "parts",
    [
        # Each byte arrives in time for any timeout of a socket: headers that never end, and a body that never does.
        (b"HTTP/1.1 200 OK\r\n", *(b"X-Slow: 1\r\n" for _ in range(200))),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n", *(b" " for _ in range(400))),
        tuple(bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"1" * 200),
    ],
    ids=["headers", "body", "bytes"],
)
def test_a_server_that_trickles_is_given_up_at_the_deadline(parts: tuple[bytes, ...]) -> None:
    with sending(*parts, every=0.1) as (url, _):
        begun = time.monotonic()
        with pytest.raises(AlertmanagerAway, match=r"longer than 0\.5 s"):
            asyncio.run(fetch(url, deadline=0.5))
        # The server would have gone on for 20 seconds.
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[]", "does not respond"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", "does not respond"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "HTTP 302 and redirects to '/login'"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answers HTTP 404:"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "not a list of alerts"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not respond"),
        (b"", "does not respond"),
    ],
)
def test_what_is_no_list_of_alerts_is_refused_with_a_reason(answer: bytes, message: str) -> None:
    with sending(answer) as (url, _), pytest.raises(AlertmanagerAway) as away:
        asyncio.run(fetch(url))
    assert message in away.value.message


@pytest.mark.parametrize(("closes", "is_unbroken"), [(False, True), (True, False)])
def test_whether_one_connection_served_all_requests_is_known(*, closes: bool, is_unbroken: bool) -> None:
    async def fetch_twice(url: str) -> bool:
        async with connect(url) as client:
            await fetch_alerts(client)
            await fetch_alerts(client)
            return client.is_unbroken

    # The first connection answers once, or twice.
    with sending(EMPTY, *(() if closes else (EMPTY,)), every=0.05) as (url, _):
        assert asyncio.run(fetch_twice(url)) is is_unbroken
