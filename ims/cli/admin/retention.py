"""`ims admin retention …`: data that is older than the policy's retention."""

import time
from typing import Annotated, Final

import typer

from ims.cli.admin.failures import on_this_machine
from ims.cli.admin.local import command_database
from ims.cli.group import examples, group
from ims.cli.output import Json, print_json, say
from ims.core.db.engine import Database, database_now
from ims.core.wording import iso
from ims.retention.queries import Kept, expected, oldest_kept
from ims.retention.removal import Removed, steps

app = group("retention", "Remove data that is older than the policy's retention.")

PAUSE_SECONDS: Final = 0.05
"""Pause between two steps, to leave the tables to other transactions."""


@app.callback()
def retention() -> None:
    """Remove data that is older than the policy's retention."""


@app.command("run", epilog=examples("ims admin retention run --dry-run"))
@on_this_machine
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove data that is older than the policy's retention.

    A worker does so every hour. Use --dry-run to see what a shorter retention would remove, or run it yourself when the
    disk is nearly full.
    """
    with command_database() as database:
        with database.begin() as session:
            kept = oldest_kept(session, database_now(session))
            counted = expected(session, kept) if dry_run else {}
        if not dry_run:
            counted = _remove(database, kept)
    if as_json:
        moments = {"before": iso(kept.since), "audit_before": iso(kept.audit_since)}
        print_json({**moments, "dry_run": dry_run, **counted})
        return
    done = "Would remove" if dry_run else "Removed"
    say(f"{done} what ended before {kept.since:%Y-%m-%d %H:%M} UTC, and audit entries from before")
    say(f"{kept.audit_since:%Y-%m-%d %H:%M} UTC:")
    for kind, count in counted.items():
        say(f"  {count:>8} {kind.replace('_', ' ')}")


def _remove(database: Database, kept: Kept) -> Removed:
    total: Removed = {"incidents": 0, "alerts": 0}
    for removed in steps(database, kept):
        for kind, count in removed.items():
            total[kind] = total.get(kind, 0) + count
        time.sleep(PAUSE_SECONDS)
    return total
