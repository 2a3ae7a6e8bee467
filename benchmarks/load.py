"""The load: wrk with 2 threads and 16 connections, and what it counted."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.programs import BenchmarkFailed

Mix = Literal["new", "repeat"]
THREADS = 2
CONNECTIONS = 16
SCRIPT = Path(__file__).with_name("alerts.lua")
ANSWER_SECONDS = 30
"""How long wrk waits for one answer: 16 requests of 100 alerts stand in line at the slowest of the three."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: alerts that are new each time or repeats of 1,000 known ones, and how many a request."""

    mix: Mix
    alerts: int

    def __str__(self) -> str:
        kind = "new alerts" if self.mix == "new" else "repeats"
        return f"{kind}, {self.alerts} a request"


@dataclass(frozen=True, slots=True)
class Measured:
    """One turn: requests answered with a 2xx and with anything else, and latencies in milliseconds."""

    requests: int
    refused: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def require_wrk() -> None:
    """Raises `BenchmarkFailed` saying how to get it."""
    if shutil.which("wrk") is None:
        raise BenchmarkFailed("wrk is missing. On Debian: apt-get install wrk; elsewhere: github.com/wg/wrk.")


def send(url: str, load: Load, *, run: int, seconds: float, token: str | None = None) -> Measured:
    """Send as fast as answers come for `seconds`. `run` is a number never used before on this server.

    Raises `BenchmarkFailed` when connections broke or nothing was answered at all.
    """
    done = subprocess.run(
        [
            "wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds:g}s", f"--timeout={ANSWER_SECONDS}s",
            f"--script={SCRIPT}", url, "--", load.mix, str(load.alerts), str(run),
        ],
        env=os.environ | ({"BENCH_TOKEN": token} if token else {}),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds + 2 * ANSWER_SECONDS,
    )  # fmt: skip
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if done.returncode or line is None:
        raise BenchmarkFailed(f"wrk failed: {done.stderr or done.stdout}")
    counted = json.loads(line.removeprefix("RESULT "))
    answered = counted["requests"] - counted["refused"]
    if counted["broken"] or not answered:
        raise BenchmarkFailed(f"{url}, {load}: {counted}")
    return Measured(answered, counted["refused"], counted["seconds"], counted["p50"], counted["p99"])
