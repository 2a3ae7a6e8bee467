"""A storm of alerts against a running webhook, while somebody looks at the list of incidents."""

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from tests.support.ledger import Ledger
from tests.support.notifications import alertmanager_alert, alertmanager_body
from tests.support.pages import Reader
from tests.support.senders import Sender

SENDERS = 16
LOOK_SECONDS = 0.5
MOST_TRIES = 50


@dataclass(frozen=True, slots=True)
class Storm:
    """Distinct alerts, one a request, spread evenly over services and over a time in seconds."""

    name: str
    alerts: int
    services: Sequence[str]
    seconds: float

    def requests(self) -> list[tuple[str, bytes]]:
        """Fingerprint and body of each."""
        made = []
        for number in range(self.alerts):
            service = self.services[number % len(self.services)]
            # No healing rule is for this name: what is measured is the taking of alerts.
            alert = alertmanager_alert(self.name, instance=f"{service}-{number}:9100", service=service)
            made.append((alert["fingerprint"], json.dumps(alertmanager_body(alert)).encode()))
        return made


@dataclass
class Weather:
    """What came of a storm. Times are seconds."""

    ledger: Ledger = field(default_factory=Ledger)
    waits: list[float] = field(default_factory=list)
    """From the moment a request was due until it was answered: a slow webhook cannot slow the storm down."""
    seconds: float = 0.0
    looks: list[tuple[int, float]] = field(default_factory=list)
    """Status and duration of each look at the list of incidents."""

    @property
    def p50(self) -> float:
        return statistics.median(self.waits)

    @property
    def p99(self) -> float:
        return sorted(self.waits)[int(len(self.waits) * 0.99)]


def rage(storm: Storm, port: int, token: str, reader: Reader) -> Weather:
    """Send everything, each alert until it is taken, and look at the list all the while."""
    weather, requests, lock = Weather(), iter(enumerate(storm.requests())), threading.Lock()
    began = time.monotonic()

    def send() -> None:
        sender = Sender(port, token)
        while True:
            with lock:
                number, (fingerprint, body) = next(requests, (-1, ("", b"")))
            if number < 0:
                return sender.close()
            due = began + storm.seconds * number / storm.alerts
            time.sleep(max(due - time.monotonic(), 0))
            for _ in range(MOST_TRIES):
                status = sender.post(body)
                with lock:
                    weather.ledger.note([fingerprint], status)
                    weather.waits.append(time.monotonic() - due)
                if status == 202:
                    break
                time.sleep(0.2)

    def look() -> None:
        since = time.monotonic()
        status, page = reader.page("/incidents")
        weather.looks.append((status if "</html>" in page else 0, time.monotonic() - since))

    with repeating(look, LOOK_SECONDS), ThreadPoolExecutor(SENDERS) as pool:
        for done in [pool.submit(send) for _ in range(SENDERS)]:
            done.result()
        weather.seconds = time.monotonic() - began
    return weather


@contextmanager
def repeating(act: Callable[[], object], seconds: float) -> Iterator[None]:
    """Do something again and again while inside, with pauses of so many seconds."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def memory(pids: Sequence[int]) -> float:
    """MB that programs with all their processes have for themselves: pages that they share are not counted twice."""
    total = 0
    for pid in pids:
        master = psutil.Process(pid)
        total += sum(process.memory_full_info().uss for process in (master, *master.children(recursive=True)))
    return total / 1e6
