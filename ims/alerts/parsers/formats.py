"""The formats that sources send, by the kind of the source.

To add one, write its module beside this file, add it to `FORMATS`, and give its kind a path in
`ims.sources.definition.PATHS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ims.alerts.notifications import AlertNotification, Parsed, Rejected, read_alert
from ims.alerts.parsers import alertmanager, grafana
from ims.alerts.parsers.cloudevents import BinaryMode, parse_cloudevents, read_event
from ims.alerts.parsers.generic import parse_generic, read_generic
from ims.core.errors import Forbidden
from ims.sources.definition import PATHS, SourceKind
from ims.sources.tokens import Sender

Parser = Callable[[Any, str, datetime], Parsed]
"""Parses a body: takes its JSON, the source's name, now. Raises `Invalid` for a body in another format."""
Reader = Callable[[Any, str, datetime], AlertNotification | Rejected]
"""Parses one alert as its sender wrote it: takes the alert, the source's name, now. Never raises for bad input."""


@dataclass(frozen=True, slots=True)
class Format:
    """The parser of a body, and of one alert in it."""

    parse: Parser
    read: Reader


FORMATS: Final[Mapping[str, Format]] = {
    SourceKind.ALERTMANAGER: Format(alertmanager.parse, read_alert),
    SourceKind.GRAFANA: Format(grafana.parse, grafana.read_grafana),
    SourceKind.GENERIC: Format(parse_generic, read_generic),
    SourceKind.CLOUDEVENTS: Format(parse_cloudevents, read_event),
}
ALERT_PATHS: Final = tuple(sorted({PATHS[SourceKind(kind)] for kind in FORMATS}))
"""The paths at which the webhook accepts alerts."""
MODE_HEADER: Final = "ce-specversion"
"""A header that CloudEvents only have in binary mode."""


class KindDoesNotFit(Forbidden):
    """This source may not send to this path."""


def parser_for(path: str, sender: Sender) -> Parser:
    """The parser for requests of this sender to `path`. Raises `KindDoesNotFit`, which names the right path."""
    own_path = PATHS.get(SourceKind(sender.kind)) if sender.kind in list(SourceKind) else None
    if own_path == path:
        return FORMATS[sender.kind].parse
    fitting = [kind for kind, kinds_path in PATHS.items() if kinds_path == path]
    remedy = f"send to {own_path}, or create" if own_path else "create"
    raise KindDoesNotFit(
        f"{path} is for sources of kind {' or '.join(fitting)}, but this source is of kind {sender.kind}:"
        f" {remedy} a source of the right kind with `ims source add`."
    )


def check_mode(path: str, mode: str | None) -> None:
    """Raises `BinaryMode` for an event in binary mode; `mode` is the value of the header `MODE_HEADER`."""
    if path == PATHS[SourceKind.CLOUDEVENTS] and mode is not None:
        raise BinaryMode
