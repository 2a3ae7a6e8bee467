"""The command `ims`: a client of the REST API, and `ims admin` for this machine's database.

The exit code tells scripts what happened, see `ims.cli.errors`.
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
        "`ims COMMAND --help` describes a command, when to use it, and its options. IMS_URL and IMS_TOKEN set the"
        " server and the token; by default they come from the profile that `make up` writes for the installing user.",
        "Exit codes:",
        as_written(f"{code}  {meaning}" for code, meaning in EXIT_CODES),
    )
)


class Commands(LazyGroup):
    """Every group, with its module and help text."""

    groups = {  # noqa: RUF012 - a constant table
        name: (f"ims.cli.{name.replace('-', '_')}", help_text)
        for name, help_text in {
            "incident": "Open, list, change and resolve incidents.",
            "alert": "List alerts: which are firing, and since when.",
            "run": "List and show runs of playbooks, and their logs.",
            "decision": "Show why a run started or not.",
            "service": "List the services and whether they are healthy.",
            "worker": "List the workers that take jobs.",
            "maintenance": "Add, list and end maintenance windows.",
            "oncall": "Show who is on call; override and swap shifts.",
            "source": "Manage sources, the senders of alerts.",
            "token": "Create, rotate and revoke tokens.",
            "user": "Manage accounts.",
            "team": "Manage teams.",
            "dead-letter": "Show, retry and drop alerts that could not be processed.",
            "audit": "List and export the audit log: who changed what.",
            "profile": "Show the server in use and your account there.",
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
    """Run one command and return its exit code. `CommandFailed` is printed as a message on standard error."""
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
        # Typer exits like this after printing completions.
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
    """`ims … | head` closed the pipe. That is no error, and Python must not report one when it flushes at exit."""
    sys.stdout = None
    return 0
