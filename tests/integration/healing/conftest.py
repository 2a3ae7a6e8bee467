"""A site with a policy in the database, for tests that decide and heal."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ims.core.db.engine import Database
from tests.support.healing import Site

MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(database: Database, tmp_path: Path) -> Iterator[MakeSite]:
    """Makes sites whose policy is active, for decisions only; they stop answering after the test."""
    sites: list[Site] = []

    def make(*services: str, **more: Any) -> Site:
        directory = tmp_path / f"site-{len(sites)}"
        directory.mkdir()
        site = Site(directory, services or ("shop",), **more)
        sites.append(site)
        site.start()
        site.activate_unread(database)
        return site

    yield make
    for site in sites:
        site.stop()
