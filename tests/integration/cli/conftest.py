"""The command as a process of its own, against a served ims-web."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.settings import Settings
from ims.programs.web import create_app
from tests.support.cast import add_people, add_token
from tests.support.history import Tale, add_policy
from tests.support.serving import serving

IMS = Path(sys.executable).with_name("ims")
ODD = "[bold]odd[/bold] \x1b[31mred\x1b]0;title\x07 \x9b2J"
"""A title that would do something to a terminal, and something in the markup of the library that draws tables."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, and tokens of an administrator and of somebody who may only look."""

    url: str
    token: str
    viewer: str

    @property
    def environment(self) -> dict[str, str]:
        return environment(IMS_URL=self.url, IMS_TOKEN=self.token)


def environment(**more: str) -> dict[str, str]:
    """What a shell gives, without anything of an installation's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IMS_")}
    return {**kept, "TERM": "xterm-256color", "COLUMNS": "160", **more}


def typed(given: Mapping[str, str], *words: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command, as a script does."""
    return subprocess.run(
        [IMS, *words], env=dict(given), cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def server(settings: Settings, database: Database) -> Iterator[Server]:
    with database.begin() as session:
        add_people(session, utc_now())
        add_policy(session, utc_now())
        token, viewer = (add_token(session, name, utc_now()) for name in ("root", "victor"))
        Tale(session, utc_now(), "shop", ODD, "low")
    with serving(create_app(settings, database)) as url:
        yield Server(url, token, viewer)
