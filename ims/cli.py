"""The command `ims`: what people and roles do with IMS in a terminal.

Exit codes: 0 done, 1 it failed or a fault was found, 2 the command line is wrong.
"""

import argparse
import sys
from collections.abc import Sequence

import argcomplete

from ims import administration
from ims.accounts.people import commands as people_commands
from ims.accounts.tokens import commands as token_commands
from ims.alerts import commands as alert_commands
from ims.audit import commands as audit_commands
from ims.demo import commands as demo_commands
from ims.errors import IMSError
from ims.incidents import commands as incident_commands
from ims.maintenance import commands as maintenance_commands
from ims.policy import commands as policy_commands
from ims.retention import commands as retention_commands
from ims.runs import commands as run_commands
from ims.sources import commands as source_commands
from ims.worker import commands as worker_commands

_GROUPS = (
    administration,
    policy_commands,
    incident_commands,
    run_commands,
    maintenance_commands,
    source_commands,
    token_commands,
    people_commands,
    audit_commands,
    alert_commands,
    retention_commands,
    worker_commands,
    demo_commands,
)


def parser() -> argparse.ArgumentParser:
    """The whole command line; each area registers its own commands."""
    top = argparse.ArgumentParser(prog="ims", description="Self-hosted incident management that heals.")
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.register(subparsers)
    return top


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
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `ims … | head` closed the pipe: not an error.
        sys.stderr.close()
        return 0
