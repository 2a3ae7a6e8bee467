"""`ims incident …`, what is read: the list, one incident with its timeline, how long it took, the statistics."""

import argparse
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from ims.api.v1.schemas.incidents import IncidentShown, measure, read_whole, show
from ims.api.v1.schemas.summary import CountsShown, DurationsShown, SummaryShown, show_summary
from ims.cli import incident_change as change_commands
from ims.cli.incident_change import add_reference
from ims.cli.local import add_json, command_session
from ims.cli.terminal import print_json, print_table
from ims.core.clock import utc_now
from ims.core.severity import Severity
from ims.core.wording import duration, stamp
from ims.incidents.inputs import SEVERITIES
from ims.incidents.models import Incident, Status
from ims.incidents.queries import UNRESOLVED, Filters, Sort, find_incident, latest_events, list_incidents
from ims.incidents.sentences import sentence_of
from ims.reports.summary import Chosen, read_summary
from ims.runs.ansi import to_plain

_COLUMNS = ("incident", "status", "severity", "service", "opened", "healed", "resolved", "title")
_TITLE_WIDTH = 60
_NOT_SHOWN = ("incident", "title", "labels", "allowed")
DEFAULT_RANGE = timedelta(days=30)


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    group = subparsers.add_parser("incident", help="incidents: list, show, open, ack, resolve, …")
    commands = group.add_subparsers(dest="incident_command", metavar="COMMAND", required=True)
    _register_list(commands)
    showing = commands.add_parser("show", help="one incident and its timeline")
    add_reference(showing)
    add_json(showing)
    showing.set_defaults(run=_show)
    change_commands.register(commands)
    measuring = commands.add_parser("metrics", help="how long one incident took, in seconds")
    add_reference(measuring)
    add_json(measuring)
    measuring.set_defaults(run=_metrics)
    _register_summary(commands)


def _register_list(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listing = commands.add_parser("list", help="incidents, newest first")
    listing.add_argument("--status", choices=["unresolved", *Status], help="only incidents in this status")
    listing.add_argument("--severity", choices=list(Severity), help="only incidents of this severity")
    for name in ("service", "environment", "assignee", "team"):
        listing.add_argument(f"--{name}", default="", help=f"only incidents of this {name}")
    listing.add_argument(
        "--words",
        default="",
        help="only incidents with these words, or their beginnings, in title, description or notes",
    )
    for name, words in (("since", "opened then or later"), ("until", "opened before")):
        listing.add_argument(f"--{name}", type=_moment, metavar="TIME", help=f"only incidents {words}; ISO 8601, UTC")
    listing.add_argument("--sort", choices=list(Sort), default=Sort.NEWEST, help="default newest")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default 20)")
    add_json(listing)
    listing.set_defaults(run=_list)


def _register_summary(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    summing = commands.add_parser("summary", help="how many there were, how bad, and how long they took")
    summing.add_argument("--since", type=_moment, metavar="TIME", help="from this UTC day on (default: 30 days ago)")
    summing.add_argument("--until", type=_moment, metavar="TIME", help="up to the UTC day before, or the one it is in")
    for name in ("service", "environment", "team"):
        summing.add_argument(f"--{name}", default="", help=f"only incidents of this {name}")
    summing.add_argument("--severity", choices=list(SEVERITIES), default="", help="only incidents of this severity")
    add_json(summing)
    summing.set_defaults(run=_summary)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 2026-03-01 or 2026-03-01T03:12Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _list(arguments: argparse.Namespace) -> int:
    statuses: tuple[Status, ...] = ()
    if arguments.status:
        statuses = UNRESOLVED if arguments.status == "unresolved" else (Status(arguments.status),)
    names = ("service", "environment", "severity", "assignee", "team", "words", "since", "until")
    filters = Filters(statuses, **{name: value for name in names if (value := getattr(arguments, name))})
    with command_session() as session:
        rows = _first(session, filters, Sort(arguments.sort), max(arguments.limit, 1))
        if arguments.json:
            print_json([show(incident).model_dump(mode="json") for incident in rows])
        elif rows:
            print_table(_COLUMNS, [_cells(incident) for incident in rows])
        else:
            print("No incidents.")
    return 0


def _first(session: Session, filters: Filters, sort: Sort, limit: int) -> list[Incident]:
    """The first rows; a search for words may bring them in several pages."""
    rows: list[Incident] = []
    after = None
    while True:
        page = list_incidents(session, filters, sort=sort, limit=limit - len(rows), after=after)
        rows += page.rows
        after = page.next
        if after is None or len(rows) == limit:
            return rows


def _cells(incident: Incident) -> tuple[str, ...]:
    healed, resolved = (
        duration((moment - incident.opened_at).total_seconds()) if moment else ""
        for moment in (incident.healed_at, incident.resolved_at)
    )
    title = to_plain(incident.title)[:_TITLE_WIDTH]
    service = to_plain(incident.service or "")
    return (
        f"INC-{incident.number}", incident.status, incident.severity, service, stamp(incident.opened_at), healed,
        resolved, title,
    )  # fmt: skip


def _show(arguments: argparse.Namespace) -> int:
    with command_session() as session:
        incident = find_incident(session, arguments.name)
        if arguments.json:
            print_json(read_whole(session, incident).model_dump(mode="json"))
            return 0
        _print_fields(show(incident))
        print()
        for event in latest_events(session, incident.id):
            sentence = sentence_of(event)
            detail = f" ({sentence.detail})" if sentence.detail else ""
            offset = duration((event.at - incident.opened_at).total_seconds())
            print(f"{stamp(event.at)}  +{offset:<9} {to_plain(sentence.text + detail)}")
    return 0


def _print_fields(shown: IncidentShown) -> None:
    print(f"{shown.incident}  {to_plain(shown.title)}")
    for name, value in shown:
        if value not in (None, "") and name not in _NOT_SHOWN:
            print(f"{name:<18}{to_plain(stamp(value) if isinstance(value, datetime) else str(value))}")


def _metrics(arguments: argparse.Namespace) -> int:
    with command_session() as session:
        measured = measure(find_incident(session, arguments.name))
    if arguments.json:
        print_json(measured.model_dump(mode="json"))
        return 0
    for name, value in measured:
        print(f"{name:<22}{value if isinstance(value, str) else duration(value)}")
    return 0


def _summary(arguments: argparse.Namespace) -> int:
    now = utc_now()
    until = arguments.until or now
    chosen = Chosen(arguments.service, arguments.environment, arguments.severity, arguments.team)
    with command_session() as session:
        told = show_summary(read_summary(session, arguments.since or until - DEFAULT_RANGE, until, chosen, now))
    if arguments.json:
        print_json(told.model_dump(mode="json"))
    else:
        _print_summary(told)
    return 0


def _print_summary(told: SummaryShown) -> None:
    print(f"{told.first} to {told.last}, UTC days\n")
    counted: list[tuple[str, CountsShown]] = [("all", told.counts), *told.by_severity.items()]
    names = tuple(CountsShown.model_fields)
    print_table(("severity", *names), [(word, *(str(getattr(of, name)) for name in names)) for word, of in counted])
    print()
    timed = {"to acknowledge": told.to_acknowledge, "to heal": told.to_heal, "to resolve": told.to_resolve}
    columns = tuple(name for name in DurationsShown.model_fields if name != "incidents")
    rows = [(word, str(of.incidents), *(duration(getattr(of, name)) for name in columns)) for word, of in timed.items()]
    print_table(("time", "incidents", *columns), rows)
