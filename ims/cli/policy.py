"""`ims policy`: check, load and show the policy in a terminal."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ims.cli.local import local_context
from ims.core.db.engine import Database
from ims.core.errors import IMSError
from ims.core.settings import load_settings
from ims.policy.faults import FaultsFound
from ims.policy.queries import ActivePolicy, active_policy
from ims.policy.revision import Revision, make_revision
from ims.policy.usecases import store_and_activate


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `ims policy check|load|show`."""
    policy = subparsers.add_parser("policy", help="check, load and show the policy")
    commands = policy.add_subparsers(dest="policy_command", metavar="COMMAND", required=True)
    check = commands.add_parser("check", help="tell every fault of a policy; changes nothing and needs no database")
    load = commands.add_parser("load", help="check a policy, store it and make it the active one")
    show = commands.add_parser("show", help="show the active policy")
    for command in (check, load):
        command.add_argument("--root", type=Path, metavar="DIR", help="directory of the policy (default: the setting)")
        command.add_argument("--inventory", metavar="PATH", help="inventory inside it (default: the setting)")
    load.add_argument("--allow-empty", action="store_true", help="accept a policy that has lost all its services")
    for command, run in ((check, _check), (load, _load), (show, _show)):
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.set_defaults(run=_telling(run))


def _telling(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """With --json an error is an object too; without, every fault is a line `file:line:column: field: message`."""

    def run_and_tell(arguments: argparse.Namespace) -> int:
        try:
            return run(arguments)
        except FaultsFound as found:
            if arguments.json:
                _print_json({"ok": False, "error": found.message, "faults": [f.to_json() for f in found.faults]})
            else:
                count = f"{len(found.faults)} fault{'' if len(found.faults) == 1 else 's'}"
                # Faults are what `check` is asked for; to `load` they are its failure.
                output = sys.stdout if arguments.policy_command == "check" else sys.stderr
                print(*found.faults, f"{count} found; nothing was changed.", sep="\n", file=output)
            return 1
        except IMSError as error:
            if not arguments.json:
                raise
            _print_json({"ok": False, "error": error.message, "faults": []})
            return 1

    return run_and_tell


def _revision(arguments: argparse.Namespace) -> Revision:
    root, inventory = arguments.root, arguments.inventory
    if root is None or inventory is None:
        settings = load_settings()
        root = root or settings.policy_root or Path.cwd()
        inventory = inventory or settings.inventory
    # An inventory may be named as a shell completes it, relative to where one stands.
    given = Path(inventory)
    if given.exists() and not (root / given).exists() and given.resolve().is_relative_to(root.resolve()):
        inventory = str(given.resolve().relative_to(root.resolve()))
    return make_revision(root, inventory, environment=os.environ)


def _check(arguments: argparse.Namespace) -> int:
    revision = _revision(arguments)
    summary = _summary(revision)
    if arguments.json:
        _print_json({"ok": True, "faults": [], **summary})
    else:
        print("ok", *(f"{name}={value}" for name, value in summary.items()))
    return 0


def _load(arguments: argparse.Namespace) -> int:
    revision = _revision(arguments)
    with local_context() as context:
        changed = store_and_activate(context, revision, allow_empty=arguments.allow_empty)
    if arguments.json:
        _print_json({"ok": True, "changed": changed, **_summary(revision)})
    else:
        print("changed" if changed else "unchanged", f"digest={revision.digest}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    database = Database.of(load_settings())
    try:
        with database.begin() as session:
            active = active_policy(session)
    finally:
        database.dispose()
    if arguments.json:
        _print_json({"active": None if active is None else _as_json(active)})
    elif active is None:
        print("No policy is active yet. Load one: ims policy load")
    else:
        print("\n".join(_lines(active)))
    return 0


def _summary(revision: Revision) -> dict[str, Any]:
    policy = revision.policy
    return {
        "digest": revision.digest,
        "inventory": policy.inventory,
        "services": len(policy.services),
        "rules": len(policy.healing_rules),
        "mode": policy.healing_mode,
    }


def _as_json(active: ActivePolicy) -> dict[str, Any]:
    return {
        "digest": active.digest,
        "git_commit": active.git_commit,
        "git_dirty": active.git_dirty,
        "activated_at": active.activated_at.isoformat(),
        "actor": active.actor,
        "policy": active.policy.model_dump(mode="json"),
    }


def _lines(active: ActivePolicy) -> list[str]:
    policy = active.policy
    commit = f"{active.git_commit}{' with changes' if active.git_dirty else ''}" if active.git_commit else "unknown"
    head = [
        f"digest     {active.digest}",
        f"commit     {commit}",
        f"inventory  {active.inventory}",
        f"active     since {active.activated_at:%Y-%m-%d %H:%M:%S %Z} by {active.actor}",
        f"healing    {policy.healing_mode}",
    ]
    services = [
        (service.name, service.service_recovery, service.service_environment, service.url or "-", service.team or "-")
        for service in policy.services.values()
    ]
    rules = [
        (rule.name, rule.playbook, f"{rule.attempts} attempts", " ".join(_conditions(rule.match)))
        for rule in policy.healing_rules
    ]
    return [*head, "", f"{len(services)} services", *_table(services), "", f"{len(rules)} rules", *_table(rules)]


def _conditions(match: dict[str, Any]) -> list[str]:
    return [
        f"{label}={value}" if isinstance(value, str) else f"{label}=~{value.regex}" for label, value in match.items()
    ]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2, sort_keys=True))
