"""`ims incident …`: the list, one incident with its timeline, and the two things done most at 3 a.m."""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from ims.actors import Actor
from ims.alerts.models import Severity
from ims.command import add_json, command_origin, command_session
from ims.incidents import actions
from ims.incidents.audit import audited
from ims.incidents.models import Incident, Status, TimelineEvent
from ims.incidents.queries import UNRESOLVED, Filters, Sort, find_incident, list_incidents, timeline_of
from ims.queue import utc_now
from ims.terminal import print_table
from ims.web.ansi import to_plain
from ims.web.sentences import sentence_of
from ims.web.wording import duration, instant, stamp

_COLUMNS = ("incident", "status", "severity", "service", "opened", "healed", "resolved", "title")
_TITLE_WIDTH = 60


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    group = subparsers.add_parser("incident", help="incidents: list, show, ack, resolve")
    commands = group.add_subparsers(dest="incident_command", metavar="COMMAND", required=True)
    _register_list(commands)
    showing = commands.add_parser("show", help="one incident and its timeline")
    _add_reference(showing)
    add_json(showing)
    showing.set_defaults(run=_show)
    acknowledging = commands.add_parser("ack", help="say that you are looking")
    _add_reference(acknowledging)
    acknowledging.set_defaults(run=_acknowledge)
    resolving = commands.add_parser("resolve", help="close an incident")
    _add_reference(resolving)
    resolving.add_argument("--note", default="", help="what was done; stands in the timeline")
    resolving.set_defaults(run=_resolve)


def _register_list(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listing = commands.add_parser("list", help="incidents, newest first")
    listing.add_argument("--status", choices=["unresolved", *Status], help="only incidents in this status")
    listing.add_argument("--severity", choices=list(Severity), help="only incidents of this severity")
    listing.add_argument("--service", default="", help="only incidents of this service")
    for name in ("environment", "assignee", "team"):
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


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 2026-03-01 or 2026-03-01T03:12Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _add_reference(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="INCIDENT", help="INC-42, 42 or the incident's id")


def _list(arguments: argparse.Namespace) -> int:
    statuses: tuple[Status, ...] = ()
    if arguments.status:
        statuses = UNRESOLVED if arguments.status == "unresolved" else (Status(arguments.status),)
    filters = Filters(statuses, service=arguments.service, severity=arguments.severity or "", words=arguments.words)
    with command_session() as session:
        rows = list_incidents(session, filters, sort=Sort(arguments.sort), limit=max(arguments.limit, 1)).rows
        if arguments.json:
            print(json.dumps([as_json(incident) for incident in rows], indent=2))
        elif rows:
            print_table(_COLUMNS, [_cells(incident) for incident in rows])
        else:
            print("No incidents.")
    return 0


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
        events = timeline_of(session, incident.id)
        if arguments.json:
            told = {**as_json(incident), "timeline": [_event_as_json(event) for event in events]}
            print(json.dumps(told, indent=2))
            return 0
        print(f"INC-{incident.number}  {to_plain(incident.title)}")
        for name, value in as_json(incident).items():
            if value not in (None, "", {}) and name not in ("incident", "title", "labels"):
                print(f"{name:<18}{to_plain(str(value))}")
        print()
        for event in events:
            sentence = sentence_of(event)
            detail = f" ({sentence.detail})" if sentence.detail else ""
            offset = duration((event.at - incident.opened_at).total_seconds())
            print(f"{stamp(event.at)}  +{offset:<9} {to_plain(sentence.text + detail)}")
    return 0


def as_json(incident: Incident) -> dict[str, Any]:
    """An incident as people and programs see it; times in ISO 8601."""
    times = (
        "opened_at", "acknowledged_at", "in_progress_at", "healed_at", "attention_at", "flapping_since", "resolved_at",
    )  # fmt: skip
    names = ("title", "description", "status", "severity", "service", "environment", "assignee", "team", "runbook_url")
    moments = {name: getattr(incident, name) for name in times}
    return {
        "incident": f"INC-{incident.number}",
        "id": str(incident.id),
        **{name: getattr(incident, name) for name in names},
        "attention_reason": incident.attention_reason,
        "maintenance": incident.maintenance,
        **{name: instant(moment) if moment else None for name, moment in moments.items()},
        "labels": incident.labels,
        "version": incident.version,
    }


def _event_as_json(event: TimelineEvent) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "at": instant(event.at),
        "kind": event.kind,
        "actor_kind": event.actor_kind,
        "actor": event.actor,
        "data": event.data,
    }


def _acknowledge(arguments: argparse.Namespace) -> int:
    return _do(arguments, lambda session, incident, actor: actions.acknowledge(
        session, incident.id, actor=actor, now=utc_now()
    ), "acknowledged")  # fmt: skip


def _resolve(arguments: argparse.Namespace) -> int:
    return _do(arguments, lambda session, incident, actor: actions.resolve(
        session, incident.id, actor=actor, now=utc_now(), note=arguments.note
    ), "resolved")  # fmt: skip


def _do(arguments: argparse.Namespace, action: Callable[[Session, Incident, Actor], None], done: str) -> int:
    """One change, in the name of the system account that types it."""
    with command_session() as session:
        incident = find_incident(session, arguments.name)
        origin = command_origin()
        with audited(session, incident, f"incident.{done}", origin, utc_now(), note=getattr(arguments, "note", "")):
            action(session, incident, origin.actor)
    print(f"INC-{incident.number} {done}")
    return 0
