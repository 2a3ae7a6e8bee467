"""The command `ims` as somebody types it: against a served ims-web, with a token of an administrator's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from ims.accounts.models import UserAccount
from ims.cli.client import api
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.principal import Role
from ims.core.settings import Settings
from ims.programs.web import create_app
from tests.support.cast import add_token
from tests.support.serving import serving
from tests.support.workers import environment_of

OPERATOR = "operator"
"""Who types: an administrator without a password."""


@contextmanager
def typed(settings: Settings, database: Database, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let commands ask a server of this database while inside, and `ims admin` work on the database itself."""
    with database.begin() as session:
        session.add(UserAccount(name=OPERATOR, role=Role.ADMIN, created_at=utc_now()))
        session.flush()
        token = add_token(session, OPERATOR, utc_now())
    for name, value in environment_of(settings, directory).items():
        if name.startswith("IMS_"):
            monkeypatch.setenv(name, value)
    # The server is in this process: what it logs is not what the command prints.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with serving(create_app(settings, database)) as address:
        monkeypatch.setenv("IMS_URL", address)
        monkeypatch.setenv("IMS_TOKEN", token)
        api.cache_clear()
        yield
    api.cache_clear()
    structlog.reset_defaults()
