"""What 500 idle and 200 half-sent connections cost; ingest and memory against an earlier build.

    .venv/bin/python -m benchmarks.bench_slow_clients [--quick] [--write]

The silent connections are opened anew whenever the webhook ends them, for as long as a turn lasts. Rounds with and
without them take turns, as do the two builds; the earlier one is measured without them only: it would
answer nobody.
"""

import asyncio
import contextlib
import itertools
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil

from benchmarks import machine, report
from benchmarks.bench_before import BEFORE, Build, both, in_turns
from benchmarks.command import run_benchmark
from benchmarks.installation import TOKEN
from benchmarks.load import Load, require_wrk, send

IDLE, HALF_SENT = 500, 200
HALF = b"POST /alerts HTTP/1.1\r\nHost: ims\r\nContent-Length: 1000\r\n\r\n{"
NEW = Load("new", 1)
AGAIN_SECONDS = 1.0
"""How soon a connection that was ended is opened again."""


async def _hold(host: str, port: int, sent: bytes, end: asyncio.Event) -> None:
    """One silent connection, and another whenever it is ended."""
    while not end.is_set():
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(sent)
            ended = asyncio.ensure_future(reader.read())
            await asyncio.wait([ended, asyncio.ensure_future(end.wait())], return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            writer.transport.abort()
        await asyncio.sleep(AGAIN_SECONDS)


async def _hold_all(url: str, ended: threading.Event) -> None:
    parts = urlsplit(url)
    end = asyncio.Event()
    held = [
        asyncio.ensure_future(_hold(str(parts.hostname), parts.port or 80, sent, end))
        for sent, number in ((b"", IDLE), (HALF, HALF_SENT))
        for _ in range(number)
    ]
    await asyncio.to_thread(ended.wait)
    end.set()
    await asyncio.gather(*held, return_exceptions=True)


@contextlib.contextmanager
def idle_clients(url: str) -> Iterator[None]:
    """The silent connections for the time of the block."""
    ended = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_hold_all(url, ended)))
    thread.start()
    time.sleep(2)
    try:
        yield
    finally:
        ended.set()
        thread.join()


def seconds_to_health(url: str) -> float:
    """How long `/health` takes on a new connection."""
    began = time.monotonic()
    with urllib.request.urlopen(url.replace("/alerts", "/health"), timeout=30) as answer:  # noqa: S310 - loopback
        answer.read()
    return time.monotonic() - began


def memory(build: Build) -> float:
    """Resident memory of the webhook's processes together, in MB."""
    processes = psutil.Process(build.process.pid).children(recursive=True)
    webhook = [process for process in processes if any("gunicorn" in word for word in process.cmdline())]
    return sum(process.memory_info().rss for process in webhook) / 1e6


def run(quick: bool) -> str:
    """Measure everything and return the tables."""
    require_wrk()
    numbers = itertools.count(1)
    with both("ingest") as (now, before):
        for number in range(3 if quick else 9):
            for build in in_turns(now, before, number):
                _turn(build, "alone", next(numbers), is_kept=number > 0)
            with idle_clients(now.known["url"]):
                now.keep("health", max(seconds_to_health(now.known["url"]) for _ in range(10)))
                _turn(now, "among silent clients", next(numbers), is_kept=number > 0)
                now.keep("health", seconds_to_health(now.known["url"]))
    return _tables(now, before)


def _turn(build: Build, name: str, number: int, *, is_kept: bool) -> None:
    took = send(build.known["url"], NEW, run=number, seconds=3, token=TOKEN)
    if is_kept:
        build.keep(name, took.rate)
        build.keep("memory", memory(build))


def _tables(now: Build, before: Build) -> str:
    rows = [
        ("alerts a second, alone", f"{now.median('alone'):,.0f}", f"{before.median('alone'):,.0f}"),
        ("the same among silent clients", f"{now.median('among silent clients'):,.0f}", ""),
        ("slowest /health among them, ms", f"{1000 * max(now.values['health']):.0f}", ""),
        ("resident memory, MB", f"{now.median('memory'):.0f}", f"{before.median('memory'):.0f}"),
    ]
    kept = statistics.median(
        slow / alone for slow, alone in zip(now.values["among silent clients"], now.values["alone"], strict=True)
    )
    verdicts = [
        report.Verdict("/health among silent clients, in seconds", max(now.values["health"]), 1, least=False),
        report.Verdict("ingest among silent clients, against alone", kept, 0.9),
        report.Verdict("ingest, against the build before", now.median("alone") / before.median("alone"), 1.5),
        report.Verdict(
            "resident memory, against the build before",
            now.median("memory") / before.median("memory"),
            0.9,
            least=False,
        ),
    ]
    return "\n\n".join(
        [
            f"{machine.describe('PostgreSQL of the wheel')}. Before: {BEFORE}.",
            report.table(("webhook", "now", "before"), rows),
            report.table(report.VERDICT_HEAD, (verdict.cells() for verdict in verdicts)),
        ]
    )


if __name__ == "__main__":
    sys.exit(run_benchmark("slow_clients", "Slow clients, ingest and memory, against an earlier build.", run))
