"""`ims source …`: who may send alerts."""

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from ims.cli.client import api, place
from ims.cli.errors import NothingThere, Wrong
from ims.cli.given import seconds
from ims.cli.group import examples, group
from ims.cli.output import Json, changed, local, print_json, print_table, show

app = group("source", "Manage who sends alerts: add, list, show, set, remove.")

_COLUMNS: Final = ("source", "kind", "state", "last notification", "asked", "rate", "networks", "alertmanager")
_NOTHING: Final = ("none", "any")
"""What takes an option's value away."""


class Kind(StrEnum):
    """What a source sends."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    GENERIC = "generic"
    CLOUDEVENTS = "cloudevents"
    MONITOR = "monitor"
    HEARTBEAT = "heartbeat"


Name = Annotated[str, typer.Argument(metavar="SOURCE", help="Its name.")]
AlertmanagerUrl = Annotated[
    str | None,
    typer.Option("--alertmanager-url", metavar="URL", help="Its own Alertmanager, asked for what was missed."),
]
Receiver = Annotated[
    str | None, typer.Option("--receiver", metavar="NAME", help="Our receiver there; without it every alert is ours.")
]
Networks = Annotated[
    list[str] | None, typer.Option("--network", metavar="CIDR", help="It may send from here only; repeatable.")
]
Rate = Annotated[str | None, typer.Option("--rate", metavar="N", help="Alerts a second that one process takes.")]
StaleAfter = Annotated[
    str | None,
    typer.Option("--stale-after", metavar="TIME", help="Time without data before it is reported stale; 0 is never."),
]


@app.command("add", epilog=examples("ims source add backups --kind generic --rate 10"))
def add(
    name: Name,
    kind: Annotated[Kind, typer.Option(help="What it sends.")] = Kind.ALERTMANAGER,
    alertmanager_url: AlertmanagerUrl = None,
    receiver: Receiver = None,
    networks: Networks = None,
    rate: Rate = None,
    stale_after: StaleAfter = None,
) -> None:
    """Add a source.

    One for each sender of alerts, so that its alerts, limits and tokens stand apart. It sends by a token: `ims token
    create SOURCE`. The same again changes nothing.
    """
    given = _given(alertmanager_url, receiver, networks, rate, stale_after)
    known = any(one["name"] == name for one in api().every("/sources"))
    api().ask("POST", "/sources", body={"name": name, "kind": kind.value, **given})
    changed(not known)


@app.command("set", epilog=examples("ims source set backups --rate none", "ims source set backups --disable"))
def set_fields(
    name: Name,
    kind: Annotated[Kind | None, typer.Option(help="What it sends.")] = None,
    alertmanager_url: AlertmanagerUrl = None,
    receiver: Receiver = None,
    networks: Networks = None,
    rate: Rate = None,
    stale_after: StaleAfter = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Take its alerts again, or nothing from it any more.")
    ] = None,
) -> None:
    """Change a source.

    To limit who floods you (--rate), or to stop it (--disable). What is not given stays; `none` takes a value away.
    """
    given = _given(alertmanager_url, receiver, networks, rate, stale_after)
    if kind is not None:
        given["kind"] = kind.value
    if enabled is not None:
        given["enabled"] = enabled
    before = api().get(place("sources", name))
    after = api().ask("PATCH", place("sources", name), body=given)
    changed(any(before.get(field) != value for field, value in after.items() if field in before))


def _given(
    alertmanager_url: str | None, receiver: str | None, networks: list[str] | None, rate: str | None,
    stale_after: str | None,
) -> dict[str, Any]:  # fmt: skip
    """What the command line says of a source; what it does not mention is not there."""
    texts = {
        "alertmanager_url": alertmanager_url, "receiver": receiver, "rate_limit": rate, "stale_after": stale_after,
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
        raise Wrong("--rate: must be a number of alerts a second.") from None


@app.command("list", epilog=examples("ims source list", "ims source list --json"))
def list_sources(as_json: Json = False) -> None:
    """List sources.

    When each last sent anything, whether it is stale, and what its limits are. The place to look when an alert did not
    arrive.
    """
    rows = api().every("/sources")
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, [_row(row) for row in rows], "No sources.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    asked = row["reconciliation_problem"] or local(row["reconciled_at"])
    if row["reconciliation_withheld"]:
        asked = f"{asked}, {row['reconciliation_withheld']} withheld: {row['reconciliation_withheld_reason']}"
    rate = f"{row['rate_limit']:g}/s" if row["rate_limit"] else ""
    return (
        row["name"], row["kind"], row["state"], local(row["last_notification_at"]), asked, rate, ", ".join(row["networks"]),
        row["alertmanager_url"],
    )  # fmt: skip


@app.command("show", epilog=examples("ims source show alertmanager"))
def show_source(name: Name, as_json: Json = False) -> None:
    """Show a source.

    With how many alerts, dead letters and tokens there are of it. Before you change or remove it.
    """
    show(api().get(place("sources", name)), as_json=as_json)


@app.command("remove", epilog=examples("ims source remove backups"))
def remove(name: Name) -> None:
    """Remove a source and its tokens.

    When a sender is gone for good. One that still has alerts cannot be removed, for they are part of incidents: disable
    it, and retention takes them.
    """
    try:
        api().ask("DELETE", place("sources", name))
    except NothingThere:
        changed(False)
    else:
        changed(True)
