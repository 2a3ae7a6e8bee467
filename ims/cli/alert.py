"""`ims alert …`: what sources report."""

import argparse
from typing import Final

from ims.alerts.listing import AlertFilters, ListedAlert, alert_one, episodes_of_alert, list_alerts
from ims.api.v1.schemas.alerts import show_alert, show_alert_whole
from ims.cli.local import add_json, command_session
from ims.cli.terminal import local, print_fields, print_json, print_table
from ims.incidents.inputs import SEVERITIES

_COLUMNS: Final = ("alert", "state", "severity", "service", "source", "last seen", "name")
_EPISODE_COLUMNS: Final = ("fired", "until", "incident", "notices")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    group = subparsers.add_parser("alert", help="what sources report: list, show")
    commands = group.add_subparsers(dest="alert_command", metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="alerts, the newest first")
    listing.add_argument("--firing", action=argparse.BooleanOptionalAction, help="only what fires now, or does not")
    for name in ("source", "service", "environment", "name"):
        listing.add_argument(f"--{name}", default="", help=f"only alerts of this {name}")
    listing.add_argument("--severity", choices=list(SEVERITIES), default="", help="only alerts of this severity")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default 20)")
    add_json(listing)
    listing.set_defaults(run=_list)
    showing = commands.add_parser("show", help="one alert and the times it fired")
    showing.add_argument("id", type=int, metavar="ID", help="as the list has it")
    add_json(showing)
    showing.set_defaults(run=_show)


def _list(arguments: argparse.Namespace) -> int:
    names = ("source", "service", "severity", "name", "environment", "firing")
    filters = AlertFilters(**{name: getattr(arguments, name) for name in names})
    with command_session() as session:
        found = list_alerts(session, filters, limit=max(arguments.limit, 1))
        if arguments.json:
            print_json([show_alert(listed).model_dump(mode="json") for listed in found])
        elif found:
            print_table(_COLUMNS, [_row(listed) for listed in found])
        else:
            print("No alerts.")
    return 0


def _row(listed: ListedAlert) -> tuple[str, ...]:
    alert = listed.alert
    state = "firing" if listed.is_firing else "resolved"
    return (
        str(alert.id),
        state,
        alert.severity,
        alert.service or "",
        alert.source,
        local(alert.last_seen_at),
        alert.name,
    )


def _show(arguments: argparse.Namespace) -> int:
    with command_session() as session:
        shown = show_alert_whole(alert_one(session, arguments.id), episodes_of_alert(session, arguments.id))
    if arguments.json:
        print_json(shown.model_dump(mode="json"))
        return 0
    print_fields(shown.model_dump(mode="json", exclude={"episodes", "incidents"}))
    print()
    print_table(
        _EPISODE_COLUMNS,
        [
            (local(one.opened_at), local(one.closed_at) or "now", one.incident, str(one.notices))
            for one in shown.episodes
        ],
    )
    return 0
