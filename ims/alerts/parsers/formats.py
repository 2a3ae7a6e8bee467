"""The formats that sources send, by the kind of the source.

To add one, write its module beside this file, add it to `FORMATS`, and give its kind a path in
`ims.sources.definition.PATHS`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from ims.alerts.notifications import AlertNotification, Ignored, Parsed, Rejected, read_alert
from ims.alerts.parsers import alertmanager, grafana
from ims.alerts.parsers.cloudevents import event_of, is_binary, parse_cloudevents, read_event
from ims.alerts.parsers.generic import parse_generic, read_fields, read_generic
from ims.alerts.parsers.mapped import parse_mapped, read_mapped
from ims.core.errors import Forbidden, IMSError
from ims.policy.ready_formats import READY_FORMATS
from ims.policy.schema import Policy
from ims.sources.definition import PATHS, SourceKind
from ims.sources.tokens import Sender

Parser = Callable[[Any, str, datetime], Parsed]
"""Parses a body: takes its JSON, the source's name, now. Raises `Invalid` for a body in another format."""
Reader = Callable[[Any, str, datetime], AlertNotification | Rejected | Ignored]
"""Parses one alert as its sender wrote it: takes the alert, the source's name, now. Never raises for bad input."""


@dataclass(frozen=True, slots=True)
class Format:
    """The parsers of a format: of a whole body, and of one alert in it."""

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


class KindDoesNotFit(Forbidden):
    """This source may not send to this path."""


class FormatMissing(IMSError):
    """The active policy does not have the format of this source."""

    status = 503

    def __init__(self, name: str) -> None:
        super().__init__(f"This source has format {name}, which the active policy lacks: add it to alert_formats.")


def format_of(kind: str, named: str | None, policy: Callable[[], Policy]) -> Format | None:
    """The format of a source of this kind; None for a kind that sends no alerts. Raises `FormatMissing`.

    `named` is the source's own format, if it has one; `policy` is called only if that is none of `READY_FORMATS`.
    """
    if named is None or kind != SourceKind.GENERIC:
        return FORMATS.get(kind)
    mapped = READY_FORMATS.get(named) or policy().alert_format(named)
    if mapped is None:
        raise FormatMissing(named)
    return Format(partial(parse_mapped, mapped, read_fields), partial(read_mapped, mapped, read_fields))


def parser_for(path: str, sender: Sender, policy: Callable[[], Policy]) -> Parser:
    """The parser for requests of this sender to `path`; `policy` as for `format_of`.

    Raises `FormatMissing`, and `KindDoesNotFit`, which names the right path.
    """
    own_path = PATHS.get(SourceKind(sender.kind)) if sender.kind in list(SourceKind) else None
    if own_path == path and (own_format := format_of(sender.kind, sender.format, policy)):
        return own_format.parse
    fitting = [kind for kind, kinds_path in PATHS.items() if kinds_path == path]
    remedy = f"send to {own_path}, or create" if own_path else "create"
    raise KindDoesNotFit(
        f"{path} is for sources of kind {' or '.join(fitting)}, but this source is of kind {sender.kind}:"
        f" {remedy} a source of the right kind with `ims source add`."
    )


def event_in(path: str, media_type: str, headers: Iterable[tuple[str, str]], body: Any) -> Any:
    """The body of a request to `path`. A CloudEvent in binary mode is converted to structured mode."""
    if path != PATHS[SourceKind.CLOUDEVENTS]:
        return body
    small = {name.lower(): value for name, value in headers}
    # A complete event in the body is what the sender meant, whatever the media type says.
    is_whole = isinstance(body, dict) and "specversion" in body
    return event_of(small, body) if is_binary(media_type, small) and not is_whole else body
