"""The command as a process of its own, against a served ims-web."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.settings import Settings
from ims.programs.web import create_app
from tests.support.cast import add_people, add_token
from tests.support.command import environment
from tests.support.history import Tale, add_policy
from tests.support.serving import serving

ODD = "[bold]odd[/bold] \x1b[31mred\x1b]0;title\x07 \x9b2J"
"""A title that would do something to a terminal, and something in the markup of the library that draws tables."""


@dataclass(frozen=True, slots=True)
class Server:
    """Its URL, and the tokens of an administrator and of a viewer."""

    url: str
    token: str
    viewer: str

    @property
    def environment(self) -> dict[str, str]:
        return environment(IMS_URL=self.url, IMS_TOKEN=self.token)


@pytest.fixture
def server(settings: Settings, database: Database) -> Iterator[Server]:
    with database.begin() as session:
        add_people(session, utc_now())
        add_policy(session, utc_now())
        token, viewer = (add_token(session, name, utc_now()) for name in ("root", "victor"))
        Tale(session, utc_now(), "shop", ODD, "low")
    with serving(create_app(settings, database)) as url:
        yield Server(url, token, viewer)
