"""`ims admin …`: commands for the machine that has the database's password."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from ims.cli.admin.failures import on_this_machine
from ims.cli.errors import CommandFailed
from ims.cli.group import examples
from ims.cli.lazy import LazyGroup
from ims.cli.output import Json, changed, note, print_json, printable, say


class Commands(LazyGroup):
    groups = {  # noqa: RUF012 - a constant table
        "policy": ("ims.cli.admin.policy", "Load a policy, and show the active one."),
        "user": ("ims.cli.admin.user", "Manage accounts when no administrator can sign in."),
        "retention": ("ims.cli.admin.retention", "Remove data that is older than the policy's retention."),
    }


app = typer.Typer(
    cls=Commands, name="admin", no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Work on this machine and its database: migrate, bootstrap, doctor, policy, user, worker, retention.",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


@app.command("migrate", epilog=examples("ims admin migrate"))
@on_this_machine
def migrate() -> None:
    """Migrate the database schema to this version.

    Run it before the programs of a new version start; `make up` does so. Uses the role ims_owner. Safe to repeat and to
    run concurrently: one waits for the other. Schemas of earlier commits, whose migrations were edited later, are
    repaired; the command says what was missing. A schema that differs from this version's fails, by name.
    """
    import ims.programs.tables  # noqa: F401 - the schema is compared with the models of all domains
    from ims.core.db.migrate import migrate as migrate_schema
    from ims.core.settings import load_settings

    migrated = migrate_schema(load_settings())
    for sentence in migrated.repaired:
        note(f"Repaired the schema of an edited migration: {sentence}.")
    changed(bool(migrated))


@app.command("bootstrap", epilog=examples("ims admin bootstrap"))
@on_this_machine
def bootstrap() -> None:
    """Create or update the initial accounts, sources and tokens.

    Creates the administrator, the source of the local Alertmanager, and the token of the command's profile, or updates
    them from the files in `secrets`. `make up` runs it; run it yourself after you change one of those files.
    """
    from ims.cli.admin.installation import bootstrap as create

    changed(create())


@app.command("doctor", epilog=examples("ims admin doctor", "ims admin doctor --quiet"))
@on_this_machine
def doctor(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only what is not ok.")] = False,
    as_json: Json = False,
) -> None:
    """Check this machine, and say what to do about what is wrong.

    Checks the settings, the database, its schema, the clock, the disk, and the time zones. Prints a line for each
    check: `ok`, `warn` or `fail`, with the remedy. Exits with 1 if one fails; warnings do not count. `make up` runs it
    at its end.
    """
    import ims.programs.tables  # noqa: F401 - the schema is compared with the models of all domains
    from ims.core.doctor import Status, examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json and not (quiet and finding.status is Status.OK):
            say(printable(f"{finding.status:<4}  {finding.check:<10}  {finding.message}. {finding.remedy}".strip()))
    if as_json:
        kept = [finding for finding in findings if not (quiet and finding.status is Status.OK)]
        print_json([asdict(finding) for finding in kept])
    if failed := [finding.check for finding in findings if finding.status is Status.FAIL]:
        raise CommandFailed(f"failed: {', '.join(failed)}")


@app.command("worker", epilog=examples("ims admin worker"))
@on_this_machine
def worker() -> None:
    """Run a worker: decide, run playbooks and verify.

    `make up` starts one. Start more for more capacity, or on machines that are closer to the hosts; any number can run
    at once. SIGTERM stops a worker cleanly: active runs are cancelled and handed over.
    """
    from ims.programs.worker import main

    sys.exit(main())
