"""`ims admin …`: what is done on the machine that holds the database's password."""

import sys

import typer

from ims.cli.admin.local import on_this_machine
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
    """Bring the database's schema to this version, as role ims_owner.

    Before the programs of a new version start. Safe to repeat, and at once: one waits for the other.
    """
    from ims.core.db.migrate import migrate as migrate_schema
    from ims.core.settings import load_settings

    changed(migrate_schema(load_settings()))


@app.command("bootstrap", epilog=examples("ims admin bootstrap"))
@on_this_machine
def bootstrap() -> None:
    """Create what an installation starts with, or change it to what the files in `secrets` say.

    The administrator, the source of the local Alertmanager, and the token of the command's profile.
    """
    from ims.cli.admin.installation import bootstrap as create

    changed(create())


@app.command("worker", epilog=examples("ims admin worker"))
@on_this_machine
def worker() -> None:
    """Work until it is stopped: decide about alerts, run healing playbooks, verify them.

    Any number of workers may run at once. SIGTERM stops one in order: runs under way are cancelled and handed over.
    """
    from ims.programs.worker import main

    sys.exit(main())
