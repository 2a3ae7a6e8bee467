"""The command `ims`: what people and roles do with IMS in a terminal.

Scripts can tell what happened by the exit code, see `EXIT_CODES`.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

import argcomplete
from argcomplete.shell_integration import shellcode

from ims.cli import administration
from ims.cli import alert as alert_commands
from ims.cli import audit as audit_commands
from ims.cli import dead_letter as rejected_commands
from ims.cli import decision as decision_commands
from ims.cli import demo as demo_commands
from ims.cli import incident as incident_commands
from ims.cli import maintenance as maintenance_commands
from ims.cli import people as people_commands
from ims.cli import policy as policy_commands
from ims.cli import retention as retention_commands
from ims.cli import run as run_commands
from ims.cli import service as service_commands
from ims.cli import source as source_commands
from ims.cli import token as token_commands
from ims.cli import worker as worker_commands
from ims.core.errors import Conflict, DatabaseAway, IMSError, Invalid, NotFound, Stale

_GROUPS = (
    administration,
    policy_commands,
    incident_commands,
    alert_commands,
    run_commands,
    decision_commands,
    service_commands,
    maintenance_commands,
    source_commands,
    token_commands,
    people_commands,
    audit_commands,
    rejected_commands,
    retention_commands,
    worker_commands,
    demo_commands,
)


EXIT_CODES: Final = (
    (Invalid, 2, "what was given is wrong; the message names each wrong field"),
    (NotFound, 3, "there is nothing of that name"),
    (Conflict, 4, "the present state does not allow it"),
    (Stale, 4, ""),
    (DatabaseAway, 5, "the database does not answer; try again later"),
)
"""Of errors, the first that fits. Anything else is 1: it failed, or a fault was found."""
_EPILOG: Final = "exit codes: 0 done, 1 it failed or a fault was found, " + ", ".join(
    f"{code} {words}" for _, code, words in EXIT_CODES if words
)
SHELLS: Final = ("bash", "zsh", "fish")


def parser() -> argparse.ArgumentParser:
    """The whole command line; each area registers its own commands."""
    top = argparse.ArgumentParser(prog="ims", description="Self-hosted incident management that heals.", epilog=_EPILOG)
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.register(subparsers)
    completing = subparsers.add_parser(
        "completion",
        help="what your shell needs to complete commands",
        description='Print what your shell needs to complete `ims` commands: put `eval "$(ims completion bash)"` into '
        "its start-up file, or for fish `ims completion fish | source`.",
    )
    completing.add_argument("shell", choices=SHELLS)
    completing.set_defaults(run=_completion)
    return top


def _completion(arguments: argparse.Namespace) -> int:
    print(shellcode(["ims"], shell=arguments.shell))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. An error of ours is one sentence on standard error."""
    commands = parser()
    argcomplete.autocomplete(commands)
    chosen = commands.parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except IMSError as error:
        print(f"ims: {error.message}", file=sys.stderr)
        for field in error.fields:
            print(f"  {field.field}: {field.message}", file=sys.stderr)
        return next((code for kind, code, _ in EXIT_CODES if isinstance(error, kind)), 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `ims … | head` closed the pipe: not an error.
        sys.stderr.close()
        return 0
