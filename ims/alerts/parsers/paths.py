"""Which reader takes what a source sends to a path."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from ims.alerts.notifications import Parsed
from ims.alerts.parsers import alertmanager
from ims.alerts.parsers import grafana_notification as grafana
from ims.alerts.parsers.cloudevents import BinaryMode, parse_cloudevents
from ims.alerts.parsers.generic import parse_generic
from ims.core.errors import Forbidden
from ims.sources.definition import SourceKind
from ims.sources.tokens import Sender

Parser = Callable[[Any, str, datetime], Parsed]

SENDERS: Final[Mapping[str, Mapping[str, Parser]]] = {
    "/alerts": {SourceKind.ALERTMANAGER: alertmanager.parse, SourceKind.GRAFANA: grafana.parse},
    "/alerts/generic": {SourceKind.GENERIC: parse_generic},
    "/alerts/cloudevents": {SourceKind.CLOUDEVENTS: parse_cloudevents},
}
"""By path and kind of source."""


MODE_HEADER: Final = "ce-specversion"
"""A header that CloudEvents have in binary mode only."""


class KindDoesNotFit(Forbidden):
    """This source may not send to this path."""


def parser_for(path: str, sender: Sender) -> Parser:
    """The reader of what this sender posts to `path`. Raises `KindDoesNotFit`, which names where it may send."""
    parser = SENDERS[path].get(sender.kind)
    if parser is None:
        elsewhere = [other for other, kinds in SENDERS.items() if sender.kind in kinds]
        if sender.kind == SourceKind.HEARTBEAT:
            elsewhere = ["/heartbeats/<name>"]
        remedy = f"send to {elsewhere[0]}, or make" if elsewhere else "make"
        raise KindDoesNotFit(
            f"{path} is for sources of kind {' or '.join(SENDERS[path])}, and this one is of kind {sender.kind}:"
            f" {remedy} a source of the right kind with ims source add."
        )
    return parser


def check_mode(path: str, mode: str | None) -> None:
    """Raises `BinaryMode` for an event whose attributes are not in its body; `mode` is what `MODE_HEADER` says."""
    if path == "/alerts/cloudevents" and mode is not None:
        raise BinaryMode
