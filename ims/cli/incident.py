"""`ims incident …`: open, list, change and resolve incidents."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import uuid4

import typer

from ims.cli.client import api, place
from ims.cli.errors import Wrong
from ims.cli.given import STANDARD_INPUT, Since, Until, moment, named, text_or_input
from ims.cli.group import examples, group
from ims.cli.output import Json, Limit, local, now, print_json, print_table, printable, say, seconds_between, show
from ims.core.wording import duration

app = group("incident", "Open, list, change and resolve incidents.")

_COLUMNS: Final = ("incident", "status", "severity", "service", "opened", "healed", "resolved", "title")
_TITLE_WIDTH: Final = 60
_PARTS: Final = ("alerts", "notes", "runs", "denials", "timeline")
_NOT_SHOWN: Final = ("incident", "title", "labels", "allowed", *_PARTS)
_RANGE: Final = timedelta(days=30)


class Status(StrEnum):
    """A status of an incident; `unresolved` means every status except resolved."""

    UNRESOLVED = "unresolved"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """Severities, highest first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Sort(StrEnum):
    """Order by opening time."""

    NEWEST = "newest"
    OLDEST = "oldest"


Reference = Annotated[str, typer.Argument(metavar="INCIDENT", help="INC-42, 42 or the incident's id.")]
OfSeverity = Annotated[Severity | None, typer.Option("--severity", help="Only of this severity.")]
OfService = Annotated[str, typer.Option("--service", help="Only of this service.")]
OfEnvironment = Annotated[str, typer.Option("--environment", help="Only of this environment.")]
OfTeam = Annotated[str, typer.Option("--team", help="Only of this team.")]
Text = Annotated[str, typer.Argument(metavar="TEXT", help=f"Markdown; {STANDARD_INPUT} reads it from standard input.")]


@app.command(
    "list",
    epilog=examples(
        "ims incident list --status unresolved", "ims incident list --service checkout --since 2026-03-01 --json"
    ),
)
def list_incidents(
    status: Annotated[
        Status | None, typer.Option(help="Only with this status; unresolved: all except resolved.")
    ] = None,
    severity: OfSeverity = None,
    service: OfService = "",
    environment: OfEnvironment = "",
    assignee: Annotated[str, typer.Option(help="Only those assigned to this account.")] = "",
    team: OfTeam = "",
    search: Annotated[str, typer.Option(help="Search title, description and notes for these words.")] = "",
    since: Since = None,
    until: Until = None,
    sort: Annotated[Sort, typer.Option(help="Order by opening time.")] = Sort.NEWEST,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List incidents, newest first.

    At the start of a shift, use `--status unresolved`. Filters are combined with AND. --search finds incidents whose
    title, description or notes contain all of the given words; the beginning of a word is enough.
    """
    rows = api().first(
        "/incidents", limit, status=status and status.value, severity=severity and severity.value, service=service,
        environment=environment, assignee=assignee, team=team, search=search, since=moment(since, "--since"),
        until=moment(until, "--until"), sort=sort.value,
    )  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_cells(row) for row in rows], "No incidents.")


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    healed, resolved = (
        duration(seconds) if (seconds := seconds_between(row["opened_at"], row[name])) is not None else ""
        for name in ("healed_at", "resolved_at")
    )
    title = printable(row["title"])[:_TITLE_WIDTH]
    return (
        row["incident"], row["status"], row["severity"], row["service"], local(row["opened_at"]), healed, resolved,
        title,
    )  # fmt: skip


@app.command("show", epilog=examples("ims incident show INC-1", "ims incident show INC-1 --json"))
def show_incident(reference: Reference, as_json: Json = False) -> None:
    """Show an incident and its timeline.

    The first thing to read when you are paged: what happened, what automation tried, and how it ended.
    """
    found = api().get(_path_of(reference))
    if as_json:
        print_json(found)
        return
    say(f"{found['incident']}  {printable(found['title'])}")
    for name, value in found.items():
        if value not in (None, "") and name not in _NOT_SHOWN:
            shown = local(value) if name.endswith(("_at", "_since")) else value
            say(f"{name:<18}{printable(shown)}")
    say()
    for event in found["timeline"]:
        offset = duration(seconds_between(found["opened_at"], event["at"]))
        say(f"{local(event['at'])}  +{offset:<9} {printable(event['text'])}")


@app.command("open", epilog=examples('ims incident open "Backups are late" --severity low'))
def open_incident(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What is wrong, in a few words.")],
    severity: Annotated[Severity, typer.Option(help="Severity.")] = Severity.MEDIUM,
    service: Annotated[str, typer.Option(help="Affected service; sets environment and team.")] = "",
    environment: Annotated[str, typer.Option(help="Environment.")] = "",
    team: Annotated[str, typer.Option(help="Responsible team.")] = "",
    assignee: Annotated[str, typer.Option(help="Assignee.")] = "",
    description: Annotated[str, typer.Option(help=f"Markdown; {STANDARD_INPUT} reads it from standard input.")] = "",
    as_json: Json = False,
) -> None:
    """Open an incident manually.

    For problems that no alert reports, such as a call from a customer. If the connection breaks, the request is retried
    once; the retry does not open a second incident.
    """
    given = {
        "title": title, "severity": severity.value, "service": service, "environment": environment, "team": team,
        "assignee": assignee, "description": text_or_input(description),
    }  # fmt: skip
    body = {name: value for name, value in given.items() if value}
    opened = api().request("POST", "/incidents", body=body, headers={"Idempotency-Key": str(uuid4())})
    _say_done(opened, "opened", as_json=as_json)


@app.command("ack", epilog=examples("ims incident ack INC-1"))
def acknowledge(reference: Reference, as_json: Json = False) -> None:
    """Acknowledge an incident.

    Shows others that you are looking at it.
    """
    _change(reference, {"status": "acknowledged"}, "acknowledged", as_json=as_json)


@app.command("start", epilog=examples("ims incident start INC-1"))
def start(reference: Reference, as_json: Json = False) -> None:
    """Mark an incident as in progress.

    Shows others that you are working on a fix.
    """
    _change(reference, {"status": "in_progress"}, "in progress", as_json=as_json)


@app.command("resolve", epilog=examples('ims incident resolve INC-1 --note "Restarted the mail server."'))
def resolve(
    reference: Reference,
    text: Annotated[str, typer.Option("--note", help="What was done; added to the timeline.")] = "",
    as_json: Json = False,
) -> None:
    """Resolve an incident.

    Needed for incidents without alerts, such as manually opened ones; others resolve when their alerts do. The note
    helps when the same problem recurs.
    """
    _change(reference, {"status": "resolved", **({"note": text} if text else {})}, "resolved", as_json=as_json)


@app.command("set", epilog=examples("ims incident set INC-1 --severity high", "ims incident set INC-1 --assignee ''"))
def set_fields(
    reference: Reference,
    title: Annotated[str | None, typer.Option(help="New title.")] = None,
    description: Annotated[str | None, typer.Option(help="New description; Markdown.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="New severity.")] = None,
    team: Annotated[str | None, typer.Option(help="New team; empty removes it.")] = None,
    assignee: Annotated[str | None, typer.Option(help="New assignee; empty unassigns.")] = None,
    as_json: Json = False,
) -> None:
    """Change fields of an incident.

    To hand it over (--assignee, --team), or to raise its severity (--severity). Omitted fields keep their values; an
    empty value removes a team or assignee.
    """
    given = {
        "title": title, "description": description, "severity": severity and severity.value, "team": team,
        "assignee": assignee,
    }  # fmt: skip
    fields = {name: value for name, value in given.items() if value is not None}
    if not fields:
        raise Wrong("Give at least one field to change, such as --severity high.")
    _change(reference, fields, "changed", as_json=as_json)


@app.command("note", epilog=examples('ims incident note INC-1 "The provider knows of it."'))
def write_note(reference: Reference, text: Text, as_json: Json = False) -> None:
    """Add a note to the timeline.

    Write down what you find, so that others can continue from there. Works in every status, including resolved.
    """
    written = text_or_input(text).strip()
    if not written:
        raise Wrong("TEXT: must not be empty.")
    _change(reference, {"note": written}, "noted", as_json=as_json)


@app.command("metrics", epilog=examples("ims incident metrics INC-1"))
def metrics(reference: Reference, as_json: Json = False) -> None:
    """Show how long an incident took.

    Time to acknowledge, to heal and to resolve, for example for a postmortem. In seconds with --json.
    """
    measured = api().get(_path_of(reference, "metrics"))
    if as_json:
        print_json(measured)
        return
    for name, value in measured.items():
        say(f"{name:<22}{value if isinstance(value, str) else duration(value)}")


@app.command("summary", epilog=examples("ims incident summary --since 2026-03-01", "ims incident summary --team shop"))
def summary(
    since: Annotated[str | None, typer.Option(metavar="TIME", help="First UTC day (default: 30 days ago).")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only days that begin before this time (default: now).")
    ] = None,
    service: OfService = "",
    environment: OfEnvironment = "",
    severity: OfSeverity = None,
    team: OfTeam = "",
    as_json: Json = False,
) -> None:
    """Show statistics of a range of days.

    For weekly or quarterly reports: the number of incidents by severity, and how long they took. Days are UTC days. A
    year is as fast to query as a week.
    """
    to = moment(until, "--until") or now().isoformat()
    begin = moment(since, "--since") or (now() - _RANGE).isoformat()
    counted = api().get(
        "/incidents/stats/summary", since=begin, until=to, service=service, environment=environment,
        severity=severity and severity.value, team=team,
    )  # fmt: skip
    if as_json:
        print_json(counted)
    else:
        _print_summary(counted)


def _print_summary(counted: dict[str, Any]) -> None:
    say(f"{counted['first']} to {counted['last']}, UTC days\n")
    names = tuple(counted["counts"])
    rows = [("all", counted["counts"]), *counted["by_severity"].items()]
    print_table(("severity", *names), [(severity, *(counts[name] for name in names)) for severity, counts in rows])
    say()
    timed = {"to acknowledge": "to_acknowledge", "to heal": "to_heal", "to resolve": "to_resolve"}
    columns = tuple(name for name in counted["to_heal"] if name != "incidents")
    print_table(
        ("time", "incidents", *columns),
        [
            (label, counted[name]["incidents"], *(duration(counted[name][column]) for column in columns))
            for label, name in timed.items()
        ],
    )


def _change(reference: str, fields: dict[str, Any], done: str, *, as_json: bool) -> None:
    _say_done(api().request("PATCH", _path_of(reference), body=fields), done, as_json=as_json)


def _path_of(reference: str, *parts: str) -> str:
    return place("incidents", named(reference, "INC", "incident"), *parts)


def _say_done(incident: dict[str, Any], done: str, *, as_json: bool) -> None:
    if as_json:
        show(incident, as_json=True)
    else:
        say(f"{incident['incident']} {done}")
