"""Alerta, the product we compare ingest with: Flask and PostgreSQL like ours, from PyPI, as its documentation says.

It is given an advantage: its authentication is off, as it is by default, while ours checks a token.
"""

import contextlib
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.database import number
from benchmarks.programs import BenchmarkFailed, cached_environment, free_environment, running, wait_for_answer
from tests.support.postgres import PostgresServer, free_port

VERSION = "9.1.0"
WORKERS = 4
STARTED = "from alerta import create_app; create_app()"


@contextlib.contextmanager
def alerta(server: PostgresServer, directory: Path) -> Iterator[str]:
    """Alerta with 4 gunicorn workers on `server`; yields the URL that takes Alertmanager's notifications."""
    python = cached_environment("alerta", f"alerta-server=={VERSION}", "gunicorn==23.0.0", "psycopg2-binary") / "bin"
    server.execute("CREATE DATABASE alerta")
    configuration, log, port = directory / "alertad.conf", directory / "alerta.log", free_port()
    address = f"postgresql://postgres:{server.password}@127.0.0.1:{server.port}/alerta"
    configuration.write_text(f"DATABASE_URL = {address!r}\nSECRET_KEY = {secrets.token_hex()!r}\n")
    environment = free_environment() | {"ALERTA_SVR_CONF_FILE": str(configuration)}
    # Its workers race to create the schema when they start together: one start alone comes first.
    first = subprocess.run(
        [python / "python", "-c", STARTED], env=environment, check=False, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if first.returncode:
        raise BenchmarkFailed(f"Alerta did not start: {first.stderr}")
    command: list[str | Path] = [
        python / "gunicorn",
        f"--workers={WORKERS}",
        f"--bind=127.0.0.1:{port}",
        "alerta:create_app()",
    ]
    with running(command, log=log, environment=environment, cwd=directory) as process:
        wait_for_answer(process, f"http://127.0.0.1:{port}/management/gtg", log)
        yield f"http://127.0.0.1:{port}/webhooks/prometheus"


def stored_notifications(server: PostgresServer) -> int:
    """How many alerts it has counted, repeats included."""
    return number(server, "alerta", "SELECT coalesce(sum(duplicate_count + 1), 0) FROM alerts")
