"""The command `ims`: a client of the REST API, and `ims admin` for this machine's database.

Scripts can tell what happened by the exit code, see `ims.cli.errors`.
"""

import sys
from collections.abc import Sequence

import typer
from typer import _click as click

from ims.cli.errors import EXIT_CODES, CommandFailed
from ims.cli.group import as_written, examples
from ims.cli.lazy import LazyGroup
from ims.cli.output import note

_EPILOG = "\n\n".join(
    (
        examples("ims incident list --status unresolved", "ims service list", "ims policy check --root ."),
        "`ims COMMAND --help` says what each does, when one wants it, and how. IMS_URL and IMS_TOKEN name the server"
        " and the token; without them, the profile that `make up` writes for whoever installs.",
        "Exit codes:",
        as_written(f"{code}  {words}" for code, words in EXIT_CODES),
    )
)


class Commands(LazyGroup):
    """Every group, with the module that has it."""

    groups = {  # noqa: RUF012 - a table that nobody changes
        name: (f"ims.cli.{name.replace('-', '_')}", words)
        for name, words in {
            "incident": "Open, list, change and resolve incidents.",
            "alert": "List what sources report: what fires, and since when.",
            "run": "List and show runs of playbooks, and their logs.",
            "decision": "Show why a run started, or did not.",
            "service": "List the services and whether they are healthy.",
            "worker": "List the workers that take jobs.",
            "maintenance": "Add, list and end maintenance windows.",
            "source": "Manage who sends alerts.",
            "token": "Create, rotate and revoke tokens.",
            "user": "Manage accounts.",
            "team": "Manage teams.",
            "dead-letter": "Show, retry and drop alerts that could not be processed.",
            "audit": "Read who changed what.",
            "profile": "Show which server is asked, and who you are there.",
            "policy": "Check a policy; needs neither server nor database.",
            "demo": "Kill the IMS web process and watch it heal.",
            "admin": "Work on this machine's database: migrate, bootstrap, policy, worker, retention.",
        }.items()
    }


app = typer.Typer(
    cls=Commands, name="ims", no_args_is_help=True, rich_markup_mode=None, add_completion=True, epilog=_EPILOG,
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)  # fmt: skip


@app.callback()
def ims() -> None:
    """Self-hosted incident management that heals."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. An error of ours is one sentence on standard error."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="ims", standalone_mode=False)
    except CommandFailed as error:
        note(f"ims: {error}")
        return error.exit_code
    except typer.Exit as ended:
        return int(ended.exit_code)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):
            return _reader_is_gone()
        # What Typer prints for completion ends so.
        return int(ended.code or 0)
    except click.exceptions.ClickException as error:
        error.show()
        return int(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return _reader_is_gone()
    return 0


def _reader_is_gone() -> int:
    """`ims … | head` closed the pipe: not an error, and Python is not to complain when it flushes at the end."""
    sys.stdout = None
    return 0
