"""A storm of alerts over many services, and one on a single service; benchmarks/bench_storm.py is the long one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.settings import Settings
from tests.integration.webhook.conftest import TOKEN, Served, serve, serve_pages, stop
from tests.support.healing import Site
from tests.support.history import PASSWORD, add_cast
from tests.support.ledger import compare
from tests.support.pages import Reader
from tests.support.storm import Storm, Weather, memory, rage

ALERTS = int(os.environ.get("IMS_STORM_ALERTS", "1000"))
SERVICES = tuple(f"storm-{number:02}" for number in range(100))
RATE = 10_000 / 60
MOST_GROWTH = 200.0
"""MB; generous, since it is meant to find leaks, not large objects."""


@pytest.fixture
def pages(settings: Settings, source: Database, tmp_path: Path) -> Iterator[Reader]:
    """A browser that is signed in to a running ims-web."""
    with source.begin() as session:
        add_cast(session, utc_now())
    served = serve_pages(settings, tmp_path)
    try:
        reader = Reader(f"http://127.0.0.1:{served.port}")
        reader.sign_in("charlie", PASSWORD)
        yield reader
    finally:
        stop(served)


@pytest.fixture
def webhook(settings: Settings, source: Database, tmp_path: Path) -> Iterator[Served]:
    """A webhook of its own: its memory is measured."""
    for name in ("site", "webhook"):
        (tmp_path / name).mkdir()
    site = Site(tmp_path / "site", SERVICES)
    site.start()
    try:
        site.activate_unread(source)
        served = serve(settings, tmp_path / "webhook")
        yield served
        stop(served)
    finally:
        site.stop()


# What both versions of PostgreSQL do with many at once is tried elsewhere.
@pytest.mark.parametrize("postgres", ["18"], indirect=True)
@pytest.mark.timeout(60 + ALERTS / 10)
def test_in_a_storm_nothing_is_lost_or_doubled_and_the_list_answers(
    webhook: Served, source: Database, pages: Reader
) -> None:
    rage(Storm("WarmUp", 200, SERVICES, 1), webhook.port, TOKEN, pages)
    before = memory([webhook.process.pid])
    seconds = ALERTS / RATE
    wide = rage(Storm("Wide", ALERTS, SERVICES, seconds), webhook.port, TOKEN, pages)
    narrow = rage(Storm("Narrow", ALERTS, SERVICES[:1], seconds), webhook.port, TOKEN, pages)
    grown = memory([webhook.process.pid]) - before
    for name, weather in (("wide", wide), ("narrow", narrow)):
        check(source, weather)
        print(f"{name}: p50 {weather.p50 * 1000:.0f} ms, p99 {weather.p99 * 1000:.0f} ms, {weather.seconds:.1f} s")
    print(f"memory of the webhook: {before:.0f} MB, grown by {grown:.1f} MB")
    assert grown < MOST_GROWTH
    with source.begin() as session:
        found = session.execute(text("SELECT count(*), count(DISTINCT service) FROM incident")).one()
    # One for each service: warm-up and storms are of one severity, so they belong together.
    assert tuple(found) == (len(SERVICES), len(SERVICES))


def check(database: Database, weather: Weather) -> None:
    compared = compare(database, weather.ledger)
    assert (compared.lost, compared.doubled) == ([], [])
    assert set(compared.faults) <= {"alerts that nobody sent"}
    assert weather.ledger.answers == {"202": ALERTS}
    assert weather.looks
    assert {status for status, _ in weather.looks} == {200}
