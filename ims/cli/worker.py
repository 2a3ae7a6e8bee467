"""`ims worker`: the program that decides, runs playbooks and verifies."""

import argparse
import asyncio
import logging

from ims.core.log import configure_logging
from ims.core.settings import load_settings
from ims.engine.program import main


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    command = subparsers.add_parser(
        "worker",
        help="decide, run playbooks, verify; until it is stopped",
        description="Take jobs from the database: decide about alerts, run healing playbooks, verify them. Any number "
        "of workers may run at once. SIGTERM stops it in order: runs under way are cancelled and handed over.",
    )
    command.set_defaults(run=_work)


def _work(_arguments: argparse.Namespace) -> int:
    settings = load_settings()
    configure_logging(settings, "worker")
    # What they tell of a database that is away, a line for each try, our own two lines say.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    asyncio.run(main(settings))
    return 0
