"""The definition of a source, and its validation. Pure."""

import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from ims.core.errors import FieldError, Invalid
from ims.core.validation import one_line
from ims.policy.schema import check_url

NAME_LENGTH: Final = 64
MOST_NETWORKS: Final = 64
OWN_SOURCE: Final = "ims"
"""The source of alerts that IMS raises itself. It has no tokens."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")


class SourceKind(StrEnum):
    """What a source sends, which determines the parser."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    GENERIC = "generic"
    CLOUDEVENTS = "cloudevents"
    MONITOR = "monitor"
    HEARTBEAT = "heartbeat"


PATHS: Final = {
    SourceKind.ALERTMANAGER: "/alerts",
    SourceKind.GRAFANA: "/alerts",
    SourceKind.GENERIC: "/alerts/generic",
    SourceKind.CLOUDEVENTS: "/alerts/cloudevents",
    SourceKind.HEARTBEAT: "/heartbeats/<name>",
}
"""The paths to which sources of each kind send."""
POLLED_KINDS: Final = (SourceKind.ALERTMANAGER, SourceKind.GRAFANA)
"""Sources of these kinds have an Alertmanager that IMS can poll for missed notifications."""


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("source", "{message}", {"message": message})


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > NAME_LENGTH:
        raise _wrong(f"must be a-z, 0-9, dot, hyphen and underscore, at most {NAME_LENGTH} characters")
    if name == OWN_SOURCE:
        raise _wrong(f"{OWN_SOURCE!r} is the source of alerts that IMS raises itself")
    return name


def _check_network(given: str) -> str:
    try:
        network = ip_network(given.strip())
        # IPv4-mapped addresses of senders are converted to IPv4, so the network must be, too, or none would ever match.
        mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
        return str(IPv4Network((mapped, network.prefixlen - 96)) if mapped else network)
    except ValueError as error:
        raise _wrong(f"{given!r} is not a network: write 10.1.0.0/16, 192.0.2.7 or 2001:db8::/32 ({error})") from None


def _check_format(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > NAME_LENGTH:
        raise _wrong(f"format must be a-z, 0-9, dot, hyphen and underscore, at most {NAME_LENGTH} characters")
    return name


Network = Annotated[str, AfterValidator(_check_network)]


class SourceDefinition(BaseModel):
    """A source as an administrator describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_check_name)]
    kind: SourceKind
    alertmanager_url: Annotated[str, AfterValidator(check_url)] | None = None
    receiver: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(one_line)] | None = None
    networks: Annotated[list[Network], Field(max_length=MOST_NETWORKS)] = []
    rate_limit: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    stale_after: Annotated[float, Field(ge=0, le=30 * 86400, allow_inf_nan=False)] | None = None
    format: Annotated[str, AfterValidator(_check_format)] | None = None

    @model_validator(mode="after")
    def _only_generic_alerts_have_a_format(self) -> Self:
        if self.format is not None and self.kind != SourceKind.GENERIC:
            raise _wrong("format is for sources of kind generic: the others say themselves how they are read")
        return self

    @model_validator(mode="after")
    def _only_an_alertmanager_can_be_polled(self) -> Self:
        # No Alertmanager lists the alerts of other kinds, so all of them would look resolved.
        if self.alertmanager_url is not None and self.kind not in POLLED_KINDS:
            raise _wrong(f"alertmanager_url is for sources of kind {' or '.join(POLLED_KINDS)}")
        return self


def check_definition(given: Mapping[str, Any]) -> SourceDefinition:
    """Validate a definition. Raises `Invalid` with all invalid fields at once."""
    try:
        return SourceDefinition.model_validate(dict(given))
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)
        raise Invalid(
            "The definition of the source is invalid.",
            fields=[FieldError(str(one["loc"][0]) if one["loc"] else "source", one["msg"]) for one in wrong],
        ) from None
