"""Which instance answers when an Alertmanager is polled, and what follows from an invalid answer."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import Any

import pytest

from ims.alerts.alertmanager import AlertmanagerAway
from ims.alerts.snapshot import SETTLING, Snapshot, Uncertainty, fetch_snapshot
from tests.support.notifications import NOW

STARTED = (NOW - 2 * SETTLING).isoformat()


def status(name: str, peers: int) -> dict[str, Any]:
    return {"cluster": {"name": name, "peers": [{}] * peers}, "uptime": STARTED}


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None], protocol: str = "HTTP/1.1") -> Iterator[str]:
    """A server that answers every GET by `answer`; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = protocol

        def do_GET(self) -> None:
            answer(self)

        def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002 - the parent's
            return f"{NOW:%a, %d %b %Y %H:%M:%S} GMT"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def send(handler: BaseHTTPRequestHandler, content: Any, length: int | None = None) -> None:
    body = json.dumps(content).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(length or len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def polled(*names: str, peers: int, protocol: str = "HTTP/1.1") -> Snapshot:
    """What comes of an address behind which these answer in turn."""
    turns = cycle(names)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        name = next(turns)
        send(handler, status(name, peers) if handler.path.endswith("/status") else [])

    with answering(answer, protocol) as url:
        return asyncio.run(fetch_snapshot("shop", url, None, NOW))


def test_the_answer_of_a_single_one_is_certain() -> None:
    assert polled("one", peers=1).uncertainty is None
    assert polled("one", peers=3).uncertainty is None


def test_answers_of_several_behind_one_address_are_uncertain() -> None:
    assert polled("one", "one", "one", "two", peers=2).uncertainty is Uncertainty.SEVERAL_ANSWERED


def test_the_answer_of_a_cluster_member_is_certain_over_one_connection_only() -> None:
    assert polled("one", peers=2, protocol="HTTP/1.0").uncertainty is Uncertainty.SEVERAL_ANSWERED
    assert polled("one", peers=1, protocol="HTTP/1.0").uncertainty is None


def test_a_redirect_is_reported_and_not_followed() -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "https://elsewhere.example/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with answering(elsewhere) as url, pytest.raises(AlertmanagerAway) as away:
        asyncio.run(fetch_snapshot("shop", url, None, NOW))
    assert "HTTP 302 and redirects to 'https://elsewhere.example/'" in away.value.message


def test_an_answer_that_breaks_off_is_none() -> None:
    def broken(handler: BaseHTTPRequestHandler) -> None:
        send(handler, [], length=100)
        handler.close_connection = True

    with answering(broken) as url, pytest.raises(AlertmanagerAway):
        asyncio.run(fetch_snapshot("shop", url, None, NOW))


@pytest.mark.parametrize("content", [{}, None, "alerts", 7])
def test_what_is_no_list_of_alerts_is_none(content: Any) -> None:
    with answering(lambda handler: send(handler, content)) as url, pytest.raises(AlertmanagerAway):
        asyncio.run(fetch_snapshot("shop", url, None, NOW))
