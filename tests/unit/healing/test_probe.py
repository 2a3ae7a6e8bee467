"""The HTTP probe against real servers that behave and misbehave."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ims.monitor.probe import ProbeResult, probe

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(answer: bytes, *, timeout: float = 2, hang: bool = False) -> tuple[ProbeResult, bytes]:
    """Probe a server that answers with these bytes; also the request that it received."""
    sent = b""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        try:
            sent = await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            if hang:
                await asyncio.sleep(5)
            writer.close()
        finally:
            writer.transport.abort()

    async def scene() -> ProbeResult:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await probe(f"http://127.0.0.1:{port}/health?deep=1", timeout=timeout)

    return asyncio.run(scene()), sent


@pytest.mark.parametrize(
    ("status", "is_healthy"), [(200, True), (204, True), (302, True), (400, False), (404, False), (500, False)]
)
def test_healthy_means_a_status_below_400(status: int, is_healthy: bool) -> None:
    result, _ = ask(f"HTTP/1.1 {status} Some Words\r\nContent-Length: 0\r\n\r\n".encode())
    assert (result.is_healthy, result.status) == (is_healthy, status)


def test_it_asks_for_the_path_and_the_query_of_the_url() -> None:
    _, sent = ask(b"HTTP/1.1 200 OK\r\n\r\n")
    assert sent.startswith(b"GET /health?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:")


def test_an_interim_answer_is_no_answer() -> None:
    result, _ = ask(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 503 No\r\n\r\n")
    assert (result.is_healthy, result.status) == (False, 503)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"x" * 100_000])
def test_what_is_not_http_is_not_healthy_and_raises_nothing(answer: bytes) -> None:
    result, _ = ask(answer)
    assert not result.is_healthy
    assert result.reason


def test_a_service_that_hangs_is_not_healthy() -> None:
    result, _ = ask(b"", timeout=0.1, hang=True)
    assert result.reason == "No answer within 0.1 s."


def test_a_port_where_nobody_listens_is_not_healthy() -> None:
    result = asyncio.run(probe("http://127.0.0.1:1/"))
    assert result == ProbeResult(False, "The connection was refused.")


def test_a_name_that_does_not_exist_is_not_healthy() -> None:
    assert not asyncio.run(probe("http://no-such-host.invalid/")).is_healthy
