"""`ims admin …`: what is done on the machine that holds the database's password."""

import sys

import typer

from ims.cli.admin.failures import on_this_machine
from ims.cli.group import examples
from ims.cli.lazy import LazyGroup
from ims.cli.output import changed


class Commands(LazyGroup):
    """The groups below `ims admin`."""

    groups = {  # noqa: RUF012 - a table that nobody changes
        "policy": ("ims.cli.admin.policy", "Load a policy, and show the active one."),
        "user": ("ims.cli.admin.user", "Accounts, when nobody can sign in who could look after them."),
        "retention": ("ims.cli.admin.retention", "Remove what is older than the policy keeps."),
    }


app = typer.Typer(
    cls=Commands, name="admin", no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Work on this machine's database: migrate, bootstrap, policy, user, worker, retention.",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


@app.command("migrate", epilog=examples("ims admin migrate"))
@on_this_machine
def migrate() -> None:
    """Bring the database's schema to this version.

    Before the programs of a new version start; `make up` does it. As role ims_owner. Safe to repeat, also by several at
    once: one waits for the other.
    """
    from ims.core.db.migrate import migrate as migrate_schema
    from ims.core.settings import load_settings

    changed(migrate_schema(load_settings()))


@app.command("bootstrap", epilog=examples("ims admin bootstrap"))
@on_this_machine
def bootstrap() -> None:
    """Create what an installation starts with.

    The administrator, the source of the local Alertmanager, and the token of the command's profile, or changes them to
    what the files in `secrets` say. `make up` does it; by hand after you changed one of those files.
    """
    from ims.cli.admin.installation import bootstrap as create

    changed(create())


@app.command("worker", epilog=examples("ims admin worker"))
@on_this_machine
def worker() -> None:
    """Decide, run playbooks and verify, until stopped.

    `make up` starts one; start more on machines that are nearer to the hosts, or when one is not enough. Any number may
    run at once. SIGTERM stops one in order: runs under way are cancelled and handed over.
    """
    from ims.programs.worker import main

    sys.exit(main())
