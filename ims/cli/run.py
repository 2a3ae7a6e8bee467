"""`ims run …`: what automation did, in a terminal."""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from ims.api.v1.schemas.runs import RunEventShown, seconds_of, show_run
from ims.cli.local import add_json, command_database
from ims.cli.terminal import print_json, print_table
from ims.core.db.engine import Database
from ims.runs.models import ACTIVE, Run, RunEvent, RunOutcome, RunStatus
from ims.runs.queries import PAGE, RunFilters, events_after, list_runs, run_by_name, run_listed

_FOLLOW_SECONDS: Final = 0.5
_COLUMNS: Final = ("run", "outcome", "target", "rule", "attempt", "queued", "seconds", "reason")
_REASON_WIDTH: Final = 60
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
# What a playbook prints may come from anywhere: only colours may reach a terminal, nothing that moves its cursor.
_CONTROL: Final = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    group = subparsers.add_parser("run", help="what automation did: list, show, log")
    commands = group.add_subparsers(dest="run_command", metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="runs, newest first")
    listing.add_argument("--target", help="only runs on this inventory host")
    listing.add_argument(
        "--outcome", "--status", choices=[one.value for one in RunOutcome], help="only runs with this outcome"
    )
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default 20)")
    add_json(listing)
    listing.set_defaults(run=_list)
    showing = commands.add_parser("show", help="one run")
    showing.add_argument("name", metavar="RUN", help="R-7, 7 or the run's id")
    add_json(showing)
    showing.set_defaults(run=_show)
    log = commands.add_parser("log", help="what a run's playbook printed")
    log.add_argument("name", metavar="RUN", help="R-7, 7 or the run's id")
    log.add_argument("--follow", "-f", action="store_true", help="go on until the run has ended")
    add_json(log)
    log.set_defaults(run=_log)


def _list(arguments: argparse.Namespace) -> int:
    outcome = RunOutcome(arguments.outcome) if arguments.outcome else None
    filters = RunFilters(outcome=outcome, target=arguments.target or "")
    with command_database() as database, database.begin() as session:
        runs = list_runs(session, filters, limit=max(arguments.limit, 1))
        if arguments.json:
            print_json([show_run(listed).model_dump(mode="json") for listed in runs])
        elif runs:
            print_table(_COLUMNS, [_row(listed.run) for listed in runs])
        else:
            print("No runs.")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with command_database() as database, database.begin() as session:
        shown = show_run(run_listed(session, arguments.name)).model_dump(mode="json")
        if arguments.json:
            print_json(shown)
            return 0
        for name, value in shown.items():
            if value not in (None, {}, ""):
                print(f"{name:<15}{json.dumps(value) if isinstance(value, dict) else value}")
    return 0


def _log(arguments: argparse.Namespace) -> int:
    with command_database() as database:
        with database.begin() as session:
            run_id = run_by_name(session, arguments.name).id
        for event in _events(database, run_id, follow=arguments.follow):
            if arguments.json:
                print(RunEventShown.model_validate(event).model_dump_json(), flush=True)
            elif event.stdout:
                print(_printable(event.stdout), flush=True)
    return 0


def _events(database: Database, run_id: UUID, *, follow: bool) -> Iterator[RunEvent]:
    """The events of a run in order; with `follow` until it has ended and all of them were read."""
    counter = 0
    while True:
        with database.begin() as session:
            # The state is read first: what is stored after that may be missed only while the run goes on.
            run = session.get_one(Run, run_id)
            is_over = run.status not in (RunStatus.QUEUED, RunStatus.RUNNING)
            events = events_after(session, run_id, counter)
        yield from events
        if events:
            counter = events[-1].counter
        if len(events) == PAGE:
            continue
        if is_over or not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def _row(run: Run) -> tuple[str, ...]:
    seconds = seconds_of(run)
    reason = run.reason or ""
    return (
        f"R-{run.number}",
        f"{run.outcome} …" if run.outcome in ACTIVE else run.outcome,
        run.target,
        run.rule or "",
        str(run.attempt),
        run.queued_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        f"{seconds:.1f}" if seconds is not None else "",
        reason if len(reason) <= _REASON_WIDTH else f"{reason[: _REASON_WIDTH - 1]}…",
    )


def _printable(text: str) -> str:
    """The text without control characters; with its colours only on a terminal."""
    harmless = _CONTROL.sub("", text)
    return harmless if sys.stdout.isatty() else _COLOUR.sub("", harmless)
