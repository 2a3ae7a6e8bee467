"""The program worker: decides about alerts, runs playbooks, verifies them, and runs periodic tasks."""

import asyncio
import logging

from ims.core.log import configure_logging
from ims.core.settings import load_settings
from ims.engine.program import main as work


def main() -> int:
    """Work until it is stopped, and return the exit code."""
    settings = load_settings()
    configure_logging(settings, "worker")
    # They log a line for each attempt while the database is away; our own two entries say the same.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    asyncio.run(work(settings))
    return 0
