"""`ims source …`: senders of alerts."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ims.cli.client import api, place
from ims.cli.errors import CommandFailed, NothingThere, Wrong
from ims.cli.given import seconds
from ims.cli.group import examples, group
from ims.cli.output import Json, changed, local, print_json, print_table, show

app = group("source", "Manage sources, the senders of alerts: add, list, show, set, remove.")

_COLUMNS: Final = ("source", "kind", "state", "last notification", "polled", "rate", "networks", "alertmanager")
_NOTHING: Final = ("none", "any")
"""Values of an option that remove the stored value."""


class Kind(StrEnum):
    """Format of a source's notifications."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    GENERIC = "generic"
    CLOUDEVENTS = "cloudevents"
    MONITOR = "monitor"
    HEARTBEAT = "heartbeat"


Name = Annotated[str, typer.Argument(metavar="SOURCE", help="Name of the source.")]
AlertmanagerUrl = Annotated[
    str | None,
    typer.Option(
        "--alertmanager-url", metavar="URL", help="Its Alertmanager, polled to reconcile missed notifications."
    ),
]
Receiver = Annotated[
    str | None,
    typer.Option("--receiver", metavar="NAME", help="IMS's receiver in that Alertmanager (default: all alerts)."),
]
Networks = Annotated[
    list[str] | None,
    typer.Option("--network", metavar="CIDR", help="Network it can send from (default: any); repeatable."),
]
Rate = Annotated[str | None, typer.Option("--rate", metavar="N", help="Alerts per second that one process accepts.")]
StaleAfter = Annotated[
    str | None,
    typer.Option("--stale-after", metavar="TIME", help="Time without data before it is reported stale; 0 is never."),
]

Format = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="NAME", help="How its alerts are read: uptime-kuma, zabbix, … or one of the policy."
    ),
]


@app.command(
    "add",
    epilog=examples("ims source add backups --kind generic --rate 10", "ims source add kuma --format uptime-kuma"),
)
def add(
    name: Name,
    kind: Annotated[Kind, typer.Option(help="Format of its notifications.")] = Kind.ALERTMANAGER,
    alertmanager_url: AlertmanagerUrl = None,
    receiver: Receiver = None,
    networks: Networks = None,
    rate: Rate = None,
    stale_after: StaleAfter = None,
    format_: Format = None,
) -> None:
    """Add a source.

    Add one for each sender of alerts, so that each has its own limits and tokens. The sender needs a token: `ims token
    create SOURCE`. Adding the same source again changes nothing. A --format implies --kind generic.
    """
    given = _given(alertmanager_url, receiver, networks, rate, stale_after, format_)
    if given.get("format") and kind is Kind.ALERTMANAGER:
        kind = Kind.GENERIC
    known = any(one["name"] == name for one in api().every("/sources"))
    api().request("POST", "/sources", body={"name": name, "kind": kind.value, **given})
    changed(not known)


@app.command("set", epilog=examples("ims source set backups --rate none", "ims source set backups --disable"))
def set_fields(
    name: Name,
    kind: Annotated[Kind | None, typer.Option(help="Format of its notifications.")] = None,
    alertmanager_url: AlertmanagerUrl = None,
    receiver: Receiver = None,
    networks: Networks = None,
    rate: Rate = None,
    stale_after: StaleAfter = None,
    format_: Format = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Accept its alerts, or reject them.")
    ] = None,
) -> None:
    """Change a source.

    To limit a sender's rate (--rate), or to reject its alerts (--disable). Omitted options keep their values; `none`
    removes a value.
    """
    given = _given(alertmanager_url, receiver, networks, rate, stale_after, format_)
    if kind is not None:
        given["kind"] = kind.value
    if enabled is not None:
        given["enabled"] = enabled
    before = api().get(place("sources", name))
    after = api().request("PATCH", place("sources", name), body=given)
    changed(any(before.get(field) != value for field, value in after.items() if field in before))


def _given(
    alertmanager_url: str | None, receiver: str | None, networks: list[str] | None, rate: str | None,
    stale_after: str | None, format_: str | None,
) -> dict[str, Any]:  # fmt: skip
    """The given options as fields of the API; omitted options are left out."""
    texts = {
        "alertmanager_url": alertmanager_url, "receiver": receiver, "rate_limit": rate, "stale_after": stale_after,
        "format": format_,
    }  # fmt: skip
    given: dict[str, Any] = {}
    for field, text in texts.items():
        if text is not None:
            given[field] = None if text.lower() in _NOTHING else _value(field, text)
    if networks:
        given["networks"] = [network for network in networks if network.lower() not in _NOTHING]
    return given


def _value(field: str, text: str) -> Any:
    if field == "stale_after":
        return seconds(text, "--stale-after")
    if field != "rate_limit":
        return text
    try:
        return float(text)
    except ValueError:
        raise Wrong("--rate: must be a number of alerts per second.") from None


@app.command("list", epilog=examples("ims source list", "ims source list --json"))
def list_sources(as_json: Json = False) -> None:
    """List sources.

    Shows when each source last sent a notification, whether it is stale, and its limits. Start here when an alert did
    not arrive.
    """
    rows = api().every("/sources")
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "No sources.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    polled = row["reconciliation_problem"] or local(row["reconciled_at"])
    if row["reconciliation_withheld"]:
        polled = f"{polled}, {row['reconciliation_withheld']} withheld: {row['reconciliation_withheld_reason']}"
    rate = f"{row['rate_limit']:g}/s" if row["rate_limit"] else ""
    state = "; ".join([row["state"], *row["warnings"]])
    return (
        row["name"], row["format"] or row["kind"], state, local(row["last_notification_at"]), polled, rate,
        ", ".join(row["networks"]), row["alertmanager_url"],
    )  # fmt: skip


@app.command("show", epilog=examples("ims source show alertmanager"))
def show_source(name: Name, as_json: Json = False) -> None:
    """Show a source.

    Also prints the numbers of its alerts, dead letters and tokens. Use it before you change or remove a source.
    """
    show(api().get(place("sources", name)), as_json=as_json)


@app.command(
    "try", epilog=examples("ims source try body.json --format uptime-kuma", "ims source try body.json --source shop")
)
def try_body(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A body as its sender posts it; - is standard input.")],
    source: Annotated[str | None, typer.Option("--source", metavar="SOURCE", help="Read it as this one's.")] = None,
    kind: Annotated[Kind, typer.Option(help="Read it as one of this kind.")] = Kind.GENERIC,
    format_: Format = None,
    as_json: Json = False,
) -> None:
    """Show what a body would become.

    Nothing is taken: no alert, no incident. To see how a new sender is understood, or whether a format fits.
    Exits 1 if anything of it cannot be read.
    """
    if source is not None:
        described = api().get(place("sources", source))
        kind, format_ = described["kind"], described["format"]
    wanted = {"kind": str(kind), "format": format_, "body": _read(file)}
    tried = api().request("POST", "/source-trials", body=wanted)
    if as_json:
        print_json(tried)
    else:
        for one in tried["alerts"]:
            show({name: value for name, value in one.items() if value not in (None, [], {})}, as_json=False)
    if rejected := sum(one["result"] == "rejected" for one in tried["alerts"]):
        raise CommandFailed(f"{rejected} of {len(tried['alerts'])} would be rejected.")


def _read(file: Path) -> Any:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise Wrong(f"{file}: {error.strerror}.") from None
    except ValueError as error:
        raise Wrong(f"{file}: is no JSON: {error}.") from None


@app.command("remove", epilog=examples("ims source remove backups"))
def remove(name: Name) -> None:
    """Remove a source and its tokens.

    Use it when a sender is gone. A source that still has alerts cannot be removed, since they are part of incidents:
    disable it, and remove it once retention has deleted them.
    """
    try:
        api().request("DELETE", place("sources", name))
    except NothingThere:
        changed(False)
    else:
        changed(True)
