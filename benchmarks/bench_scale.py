"""Reading with 1,000 and with 1,000,000 incidents: lists, search, one incident, statistics, the overview.

    .venv/bin/python -m benchmarks.bench_scale [--quick] [--write] [--only search --only overview]

Two databases of one machine, each with ims-web as in production. Every round asks everything of both, one after the
other, so that whatever else happens on the machine happens to both.
"""

import base64
import contextlib
import json
import statistics
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg

from benchmarks import machine, report
from benchmarks.command import run_benchmark
from benchmarks.database import postgres_server, postgres_version
from benchmarks.incidents import COMMON, MIDDLING, OTHER_COMMON, RARE, STORM, write_past
from benchmarks.installation import SERVICES, TOKEN, Installation, PolicyTree, install, service
from benchmarks.programs import BenchmarkFailed, running, scratch_directory, wait_for_answer
from ims.accounts.passwords import hash_token
from ims.core.db.engine import Database
from ims.core.settings import load_settings
from ims.reports.rollups import roll_up
from ims.reports.statistics import count_by_status, read_statistics
from tests.support.pages import Reader
from tests.support.postgres import free_port

SIZES: Final = (1_000, 1_000_000)
ROUNDS: Final = 100
TARGET: Final = 2.0
TIMEOUT_SECONDS: Final = 30
TOKEN_OF_ADMIN: Final = "bench-" + TOKEN


@dataclass
class Site:
    """One ims-web, its database, and somebody who looks."""

    incidents: int
    url: str
    reader: Reader
    database: Database
    known: dict[str, str] = field(default_factory=dict)

    def api(self, path: str) -> dict[str, object]:
        """What the API answers. Raises `BenchmarkFailed` unless it is 200."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/api/v1{path}", headers={"Authorization": f"Bearer {TOKEN_OF_ADMIN}"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=TIMEOUT_SECONDS
        ) as answer:
            return dict(json.load(answer))

    def page(self, path: str) -> None:
        """A page, as somebody who is signed in sees it. Raises `BenchmarkFailed` unless it is 200."""
        status, text = self.reader.page(path)
        if status != 200:
            raise BenchmarkFailed(f"{path} answered {status}: {text[:500]}")


Look = Callable[[Site], object]


def api(path: str) -> Look:
    """A look by the API; names in braces are what the site knows."""
    return lambda site: site.api(path.format(**site.known))


def page(path: str) -> Look:
    """A look at a page."""
    return lambda site: site.page(path.format(**site.known))


def summary(days: int, **chosen: str) -> Look:
    """The statistics of the last days, read through the API."""

    def look(site: Site) -> object:
        since = (datetime.now(UTC) - timedelta(days=days - 1)).isoformat()
        return site.api(f"/incidents/stats/summary?{urllib.parse.urlencode({'since': since, **chosen})}")

    return look


def current_statistics(site: Site) -> object:
    """The statistics of the overview and of /metrics, read from the database because /metrics caches them."""
    with site.database.begin() as session:
        return read_statistics(session, datetime.now(UTC)), count_by_status(session)


def search(given: str, more: str = "") -> Look:
    """A search by the API."""
    return api(f"/incidents?search={urllib.parse.quote_plus(given)}{more}")


LOOKS: Final[dict[str, Look]] = {
    "overview page": page("/"),
    "list: first page": api("/incidents"),
    "list: oldest first": api("/incidents?sort=oldest"),
    "list: a page from the middle": api("/incidents?cursor={middle}"),
    "list: unresolved": api("/incidents?status=unresolved"),
    "list: one status": api("/incidents?status=acknowledged"),
    "list: one service": api(f"/incidents?service={service(0)}"),
    "list: one environment": api("/incidents?environment=test"),
    "list: one severity": api("/incidents?severity=critical"),
    "list: one assignee": api("/incidents?assignee=admin"),
    "list: one team": api("/incidents?team=team-3"),
    "list: a week, long ago": api("/incidents?since={week_since}&until={week_until}"),
    "list: service and severity": api(f"/incidents?service={service(0)}&severity=low"),
    "list: team, severity and environment": api("/incidents?team=team-0&severity=medium&environment=production"),
    "list: unresolved of a service": api(f"/incidents?status=unresolved&service={service(0)}"),
    "list: a pair of filters that nothing has": api("/incidents?environment=production&assignee=nobody"),
    "list: page of a filtered list": page(f"/incidents?service={service(0)}&severity=low"),
    "search: in every fifth incident": search(COMMON),
    "search: in every hundredth": search(MIDDLING),
    "search: in 20 incidents": search(RARE),
    "search: in none": search("nowhere"),
    "search: two of them": search(f"{COMMON} {MIDDLING}"),
    "search: two that never meet": search(f"{COMMON} {OTHER_COMMON}"),
    "search: two that never meet, of a service": search(f"{COMMON} {OTHER_COMMON}", f"&service={service(0)}"),
    "search: three that never meet": search(f"{COMMON} {OTHER_COMMON} {MIDDLING}"),
    "search: a common one and none": search(f"{COMMON} nowhere"),
    "search: a common one of a service that has none": search(COMMON, "&service=nowhere"),
    "search: a rare pair of word and service": search(MIDDLING, f"&service={service(SERVICES - 1)}"),
    "search: one letter": search("b"),
    "search: of a storm two months ago": search(STORM),
    "search: with a service": search(MIDDLING, f"&service={service(0)}"),
    "search: unresolved only": search(COMMON, "&status=unresolved"),
    "search: from the middle": search(COMMON, "&cursor={middle_common}"),
    "one incident": api("/incidents/{one}"),
    "one incident, its page": page("/incidents/{one}"),
    "summary: 30 days": summary(30),
    "summary: 90 days": summary(90),
    "summary: 90 days of a service": summary(90, service=service(0)),
    "summary: 90 days of a team": summary(90, team="team-3"),
    "summary: 90 days of a severity": summary(90, severity="critical"),
    "summary: 90 days of a team in production": summary(90, team="team-3", environment="production"),
    "statistics of the overview and of /metrics": current_statistics,
}
"""What is looked at."""


@contextlib.contextmanager
def site(directory: Path, incidents: int) -> Iterator[Site]:
    """A database with so many incidents, and ims-web on it."""
    with contextlib.ExitStack() as stack:
        directory.mkdir()
        server = stack.enter_context(postgres_server(directory / "postgresql"))
        policy = PolicyTree.write(directory / "policy", url="http://127.0.0.1:1/", mark=directory / "mark")
        installation = install(server, directory / "state", policy, webhook_port=free_port())
        database = Database.of(load_settings(installation.environment))
        stack.callback(database.dispose)
        _fill(database, server.superuser_conninfo(installation.database), incidents)
        url = stack.enter_context(_web(installation, directory))
        reader = Reader(url)
        reader.sign_in("admin", TOKEN)
        here = Site(incidents, url, reader, database, {"version": postgres_version(server)})
        _get_to_know(here)
        yield here


def _fill(database: Database, conninfo: str, incidents: int) -> None:
    began = time.monotonic()
    write_past(conninfo, incidents)
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "INSERT INTO api_token (hash, label, user_id, scopes, created_at)"
            " SELECT %s, 'bench', id, '{read}', now() FROM user_account WHERE name = 'admin'",
            [hash_token(TOKEN_OF_ADMIN)],
        )
    print(f"{incidents} incidents written in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    # What a worker does while they come.
    added = 1
    while added:
        with database.begin() as session:
            added = roll_up(session)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) incident_change, incident_daily")
    print(f"… and added up after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _web(installation: Installation, directory: Path) -> Iterator[str]:
    port, key, log = free_port(), directory / "state/secrets/flask_secret_key", directory / "ims-web.log"
    key.write_text(TOKEN)
    environment = installation.environment | {"IMS_WEB_PORT": str(port), "IMS_SECRET_KEY_FILE": str(key)}
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        "python:ims.programs.web_gunicorn",
        "ims.programs.web:create_app()",
    ]
    with running(command, log=log, environment=environment) as process:
        wait_for_answer(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}"


def _get_to_know(here: Site) -> None:
    """The names of things to look at, which differ between the two."""
    now = datetime.now(UTC)
    middle = here.api(f"/incidents/{here.incidents // 2}")
    here.known |= {
        "one": str(middle["incident"]),
        "middle": _cursor_at(here, "/incidents", middle),
        "middle_common": _cursor_at(here, f"/incidents?search={COMMON}", middle),
        "week_since": urllib.parse.quote_plus((now - timedelta(days=70)).isoformat()),
        "week_until": urllib.parse.quote_plus((now - timedelta(days=63)).isoformat()),
    }


def _cursor_at(here: Site, path: str, incident: dict[str, object]) -> str:
    """A cursor of the list that goes on behind the incident: the first page's, with another place in it."""
    given = str(here.api(path)["next"])
    bound_to, *_ = json.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
    place = json.dumps([bound_to, incident["opened_at"], incident["id"]])
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


Times = dict[str, dict[int, list[float]]]
"""Seconds of each look, by the number of incidents."""


def measure(sites: list[Site], rounds: int, looks: Collection[str] = LOOKS.keys()) -> Times:
    """Look at both, round after round, in all that is named; the first one, which only warms up, is not counted."""
    times: Times = {name: {here.incidents: [] for here in sites} for name in looks}
    for number in range(rounds + 1):
        for name in looks:
            for here in sites if number % 2 else reversed(sites):
                began = time.perf_counter()
                LOOKS[name](here)
                if number:
                    times[name][here.incidents].append(time.perf_counter() - began)
    return times


def p95(seconds: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(seconds, n=20, method="inclusive")[-1]


def run(quick: bool, only: Collection[str] = LOOKS.keys()) -> str:
    """Both sizes, and the tables."""
    small, large = SIZES[0], SIZES[1] // (10 if quick else 1)
    with (
        scratch_directory() as directory,
        site(directory / "small", small) as few,
        site(directory / "large", large) as many,
    ):
        times = measure([few, many], rounds := 10 if quick else ROUNDS, only)
        described = machine.describe(many.known["version"])
    ratios = {name: p95(both[large]) / p95(both[small]) for name, both in times.items()}
    head = (f"milliseconds, p50 / p95 of {rounds}", f"{small:,} incidents", f"{large:,}", "p95, ratio")
    rows = [
        (name, _milliseconds(both[small]), _milliseconds(both[large]), f"{ratios[name]:.2f}")
        for name, both in times.items()
    ]
    return "\n\n".join(
        [
            f"{described}.",
            report.table(head, rows),
            report.table(report.VERDICT_HEAD, [verdict.cells() for verdict in verdicts(ratios)]),
        ]
    )


def _milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} / {p95(seconds) * 1000:.0f}"


def verdicts(ratios: dict[str, float]) -> list[report.Verdict]:
    """The worst of each kind against the target."""
    kinds = {
        "lists": "list", "searches": "search", "one incident": "one incident", "summary": "summary",
        "overview and statistics": ("overview", "statistics"),
    }  # fmt: skip
    return [
        report.Verdict(
            f"{kind}: p95 with many against {SIZES[0]:,}, the worst",
            max(ratio for name, ratio in ratios.items() if name.startswith(prefix)), TARGET, least=False,
        )
        for kind, prefix in kinds.items()
        if any(name.startswith(prefix) for name in ratios)
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_benchmark("scale", "Reading with 1,000 and with 1,000,000 incidents.", run, LOOKS))
