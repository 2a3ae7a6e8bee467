"""`ims policy check`: report all faults of a policy; without --server it needs no server, so that it runs in any CI."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ims.cli.client import api
from ims.cli.errors import CommandFailed
from ims.cli.group import examples, group
from ims.cli.output import Json, note, print_json, say
from ims.core.errors import IMSError
from ims.policy.directory import Directory
from ims.policy.faults import FaultsFound
from ims.policy.revision import Revision, make_revision

app = group("policy", "Check a policy; `ims admin policy load` activates it.")

Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Directory of the policy (default: IMS_POLICY_ROOT, or .)."),
]
Inventory = Annotated[
    str | None,
    typer.Option(
        "--inventory", metavar="PATH", help="Inventory inside it (default: IMS_INVENTORY, or inventory/local)."
    ),
]


@app.callback()
def policy() -> None:
    """Check a policy; `ims admin policy load` activates it."""


@app.command("check", epilog=examples("ims policy check --root . --inventory inventory/local"))
def check(
    root: Root = None,
    inventory: Inventory = None,
    with_server: Annotated[
        bool, typer.Option("--server", help="Also check that people and teams of schedules exist on your server.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Report all faults of a policy.

    Use it before each push, and in CI: it needs neither a server nor a database, and changes nothing. With --server it
    asks the server of your profile which people and teams there are, which administrators may. Each fault is a line
    file:line:column: field: message. Exits with 1 if there are faults; warnings do not count. The playbooks of the
    rules are loaded with everything that they import and include. It runs the plugins and templates of the inventory:
    do not check policies that you do not trust.
    """
    directory = _directory() if with_server else None
    revision = read_revision(root, inventory, as_json=as_json, faults_to_stdout=True, directory=directory)
    summary = summary_of(revision)
    if as_json:
        warnings = [warning.to_json() for warning in revision.warnings]
        print_json({"ok": True, "faults": [], "warnings": warnings, **summary})
    else:
        say(" ".join(["ok", *(f"{name}={value}" for name, value in summary.items())]))


def _directory() -> Directory:
    """The people and teams of the server. Raises `CommandFailed`."""
    return Directory(
        people={one["name"] for one in api().every("/users") if one["enabled"]},
        teams={one["name"] for one in api().every("/teams")},
    )


def read_revision(
    root: Path | None,
    inventory: str | None,
    *,
    as_json: bool,
    faults_to_stdout: bool,
    directory: Directory | None = None,
) -> Revision:
    """Read and validate a policy. With `faults_to_stdout`, faults are the output of the command, not its failure.

    Raises `CommandFailed` if there are faults.
    """
    root = root or Path(os.environ.get("IMS_POLICY_ROOT") or Path.cwd())
    inventory = inventory or os.environ.get("IMS_INVENTORY") or "inventory/local"
    # The inventory may be given relative to the current directory, as shells complete it.
    given = Path(inventory)
    if given.exists() and not (root / given).exists() and given.resolve().is_relative_to(root.resolve()):
        inventory = str(given.resolve().relative_to(root.resolve()))
    try:
        revision = make_revision(root, inventory, environment=os.environ, directory=directory)
    except FaultsFound as found:
        count = f"{len(found.faults)} fault{'' if len(found.faults) == 1 else 's'}"
        sentence = f"{count} found; nothing was changed."
        if as_json:
            print_json({"ok": False, "error": found.message, "faults": [fault.to_json() for fault in found.faults]})
            raise CommandFailed(sentence) from None
        lines = "\n".join(map(str, found.faults))
        if faults_to_stdout:
            say(lines)
            raise CommandFailed(sentence) from None
        raise CommandFailed(f"{lines}\n{sentence}") from None
    except IMSError as error:
        if as_json:
            print_json({"ok": False, "error": error.message, "faults": []})
        raise CommandFailed(error.message) from None
    for warning in revision.warnings:
        note(f"warning: {warning}")
    return revision


def summary_of(revision: Revision) -> dict[str, Any]:
    """Digest and counts of a revision."""
    policy = revision.policy
    return {
        "digest": revision.digest,
        "inventory": policy.inventory,
        "services": len(policy.services),
        "rules": len(policy.healing_rules),
        "mode": policy.healing_mode,
    }
