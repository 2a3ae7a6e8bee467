"""`ims admin policy …`: the active policy."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from ims.accounts.people.queries import names_of_people, team_names
from ims.cli.admin.failures import on_this_machine
from ims.cli.admin.local import command_session, local_context
from ims.cli.group import examples, group
from ims.cli.output import Json, print_json, say
from ims.cli.policy import Inventory, Root, read_revision, summary_of
from ims.core.settings import load_settings
from ims.policy.directory import Directory
from ims.policy.queries import ActivePolicy, active_policy
from ims.policy.usecases import store_and_activate

app = group("policy", "Load a policy, and show the active one.")


@app.command("load", epilog=examples("ims admin policy load --root . --inventory inventory/local"))
@on_this_machine
def load(
    root: Root = None,
    inventory: Inventory = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Accept a policy without services, even if the active one has some.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a policy and make it the active one.

    Use it after changes of the inventory that need no `make up`: rules, guards, services, windows. A policy with faults
    never replaces a valid one. People and teams of on-call schedules must exist.
    """
    settings = load_settings()
    with command_session() as session:
        people, teams = names_of_people(session), team_names(session)
    revision = read_revision(
        root or settings.policy_root, inventory or settings.inventory, as_json=as_json, faults_to_stdout=False,
        directory=Directory(people, teams),
    )  # fmt: skip
    with local_context() as context:
        is_changed = store_and_activate(context, revision, allow_empty=allow_empty)
    if as_json:
        print_json({"ok": True, "changed": is_changed, **summary_of(revision)})
    else:
        say(f"{'changed' if is_changed else 'unchanged'} digest={revision.digest}")


@app.command("show", epilog=examples("ims admin policy show"))
@on_this_machine
def show(as_json: Json = False) -> None:
    """Show the active policy.

    Prints the digest, commit, services and rules that healing currently uses. The checkout may be newer.
    """
    with command_session() as session:
        active = active_policy(session)
    if as_json:
        print_json({"active": None if active is None else _as_json(active)})
    elif active is None:
        say("No policy is active yet. Load one: ims admin policy load")
    else:
        say("\n".join(_lines(active)))


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


def _conditions(match: Mapping[str, Any]) -> list[str]:
    return [
        f"{label}={value}" if isinstance(value, str) else f"{label}=~{value.regex}" for label, value in match.items()
    ]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
