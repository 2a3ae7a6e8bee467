"""The program worker: decides about alerts, runs playbooks, verifies, and does what is periodic."""

import asyncio
import logging

from ims.core.log import configure_logging
from ims.core.settings import load_settings
from ims.engine.program import main as work


def main() -> int:
    """Work until it is stopped, and return the exit code."""
    settings = load_settings()
    configure_logging(settings, "worker")
    # What they tell of a database that is away, a line for each try, our own two lines say.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    asyncio.run(work(settings))
    return 0
