"""The pages with a made-up night, for those who work on them: `python -m tests.support.preview`.

Starts a PostgreSQL of its own and ims-web, prints the address, and stays until it is interrupted.
"""

import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.db.migrate import migrate
from ims.core.settings import Settings
from ims.programs.web import create_app
from tests.support.history import PASSWORD
from tests.support.postgres import WHEEL_TREE, PostgresServer
from tests.support.serving import serving
from tests.support.shop import fill


@contextmanager
def preview(port: int = 0) -> Iterator[str]:
    """Address of pages with `tests.support.shop`'s night; everything is gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="ims-preview-"))
    server = PostgresServer(WHEEL_TREE, directory)
    try:
        server.create()
        server.start("fsync=off")
        server.execute(
            f"CREATE ROLE ims_owner LOGIN PASSWORD '{server.password}'",
            f"CREATE ROLE ims_app LOGIN PASSWORD '{server.password}'",
            "CREATE DATABASE ims OWNER ims_owner",
        )
        base = f"postgresql://{{}}@127.0.0.1:{server.port}/ims"
        settings = Settings(
            state_dir=directory,
            database_url=base.format("ims_app"),
            database_password=server.password,
            database_owner_url=base.format("ims_owner"),
            database_owner_password=server.password,
            secret_key="only for previews: 0123456789abcdef",
        )
        migrate(settings)
        database = Database.of(settings)
        with database.begin() as session:
            fill(session, utc_now())
        database.dispose()
        with serving(create_app(settings), port) as address:
            yield address
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    with preview(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as where:
        print(f"{where}\nSign in as alice, bob or charlie with the password “{PASSWORD}”. Ctrl-C ends it.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.exit(0)
