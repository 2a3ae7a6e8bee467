"""`ims service …`: what is watched and healed, and how it is now."""

import argparse
from typing import Final

from ims.api.v1.schemas.services import ServiceShown, show_service
from ims.cli.local import add_json, command_session
from ims.cli.terminal import print_fields, print_json, print_table
from ims.core.clock import utc_now
from ims.core.errors import NotFound
from ims.incidents.queries import unresolved_incidents
from ims.reports.service_status import Condition, read_conditions

_COLUMNS: Final = ("service", "state", "environment", "team", "recovery", "incidents", "run")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    group = subparsers.add_parser("service", help="what is watched and healed, and how it is now: list, show")
    commands = group.add_subparsers(dest="service_command", metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="the services of the active policy, by name")
    listing.add_argument("--state", choices=list(Condition), help="only services in this state")
    add_json(listing)
    listing.set_defaults(run=_list)
    showing = commands.add_parser("show", help="one service, as the inventory describes it and as it is")
    showing.add_argument("name", metavar="SERVICE", help="the inventory host")
    add_json(showing)
    showing.set_defaults(run=_show)


def _read() -> list[ServiceShown]:
    with command_session() as session:
        known = read_conditions(session, utc_now())
        incidents = unresolved_incidents(session, [one.name for one in known])
        return [show_service(one, incidents.get(one.name, [])) for one in known]


def _list(arguments: argparse.Namespace) -> int:
    found = [shown for shown in _read() if arguments.state in (None, shown.state)]
    if arguments.json:
        print_json([shown.model_dump(mode="json") for shown in found])
    elif found:
        print_table(_COLUMNS, [_row(shown) for shown in found])
    else:
        print("No services." if arguments.state is None else f"No service is {arguments.state}.")
    return 0


def _row(shown: ServiceShown) -> tuple[str, ...]:
    incidents = ", ".join(shown.incidents)
    return shown.name, shown.state, shown.environment, shown.team or "", shown.recovery, incidents, shown.run or ""


def _show(arguments: argparse.Namespace) -> int:
    found = next((shown for shown in _read() if shown.name == arguments.name), None)
    if found is None:
        raise NotFound(f"There is no service {arguments.name}: see `ims service list`.")
    (print_json if arguments.json else print_fields)(found.model_dump(mode="json"))
    return 0
