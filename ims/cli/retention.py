"""`ims retention run`: what a worker does each hour, now."""

import argparse
import time
from typing import Final

from ims.cli.local import command_database
from ims.cli.terminal import local, print_json
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.wording import iso
from ims.retention.queries import Kept, expected, oldest_kept
from ims.retention.removal import Removed, steps

PAUSE_SECONDS: Final = 0.05


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    group = subparsers.add_parser("retention", help="what is older than the policy keeps: run")
    commands = group.add_subparsers(dest="retention_command", metavar="COMMAND", required=True)
    running = commands.add_parser("run", help="remove it now; a worker does so each hour")
    running.add_argument("--dry-run", action="store_true", help="only count what would go")
    running.add_argument("--json", action="store_true", help="JSON instead of text for people")
    running.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    with command_database() as database:
        with database.begin() as session:
            kept = oldest_kept(session, utc_now())
            counted = expected(session, kept) if arguments.dry_run else {}
        if not arguments.dry_run:
            counted = _remove(database, kept)
    if arguments.json:
        moments = {"before": iso(kept.since), "audit_before": iso(kept.audit_since)}
        print_json({**moments, "dry_run": arguments.dry_run, **counted})
        return 0
    done = "Would remove" if arguments.dry_run else "Removed"
    print(f"{done} what ended before {local(kept.since)}, and audit entries from before {local(kept.audit_since)}:")
    for kind, count in counted.items():
        print(f"  {count:>8} {kind.replace('_', ' ')}")
    return 0


def _remove(database: Database, kept: Kept) -> Removed:
    total: Removed = {"incidents": 0, "alerts": 0}
    for removed in steps(database, kept):
        for kind, count in removed.items():
            total[kind] = total.get(kind, 0) + count
        time.sleep(PAUSE_SECONDS)
    return total
