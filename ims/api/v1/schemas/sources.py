"""Sources of alerts."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from ims.alerts.snapshot import Uncertainty
from ims.alerts.source_statistics import SourceStatistics
from ims.core.schemas import Changes, Listing, RequestModel, ResponseModel
from ims.core.validation import FILLED_LINE_SCHEMA, one_line
from ims.http.resources import clock
from ims.sources.definition import MOST_NETWORKS, NAME_LENGTH, SourceKind
from ims.sources.models import Source
from ims.sources.state import SourceState, state_of, warnings_of

_LONGEST_URL: Final = 2000
_STALE_AFTER_MOST: Final = 30 * 86400

SourceName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        max_length=NAME_LENGTH,
        description="Its name: a-z, 0-9, dots, hyphens and underscores.",
        examples=["backup-scripts"],
    ),
]
_Url = Annotated[str, Field(pattern=r"^https?://[!-~]+$", max_length=_LONGEST_URL)]
_Receiver = Annotated[
    str, Field(min_length=1, max_length=256, json_schema_extra=FILLED_LINE_SCHEMA), AfterValidator(one_line)
]
_Network = Annotated[str, Field(pattern=r"^[0-9A-Fa-f.:]+(?:/[0-9.]+)?$", max_length=64)]
_Kind = Annotated[SourceKind, Field(description="Format of its notifications.")]
_AlertmanagerUrl = Annotated[
    _Url | None, Field(description="Its Alertmanager, which IMS polls to reconcile missed notifications.")
]
_OurReceiver = Annotated[
    _Receiver | None, Field(description="Name of IMS's receiver in that Alertmanager; default: all alerts.")
]
_Networks = Annotated[
    tuple[_Network, ...], Field(max_length=MOST_NETWORKS, description="Networks it can send from; empty: any.")
]
_RateLimit = Annotated[
    float | None, Field(strict=True, gt=0, le=1_000_000, description="Alerts per second that one process accepts.")
]
_Format = Annotated[
    str | None,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        max_length=NAME_LENGTH,
        description="How alerts of kind generic are read: by a ready format such as `uptime-kuma`, or one of "
        "`alert_formats` of the policy; null is the generic alert.",
    ),
]
_StaleAfter = Annotated[
    float | None,
    Field(
        strict=True,
        ge=0,
        le=_STALE_AFTER_MOST,
        description="Seconds without data before the source is reported stale; 0: never.",
    ),
]


class NewSource(RequestModel):
    """A sender of alerts."""

    name: SourceName
    kind: _Kind
    alertmanager_url: _AlertmanagerUrl = None
    receiver: _OurReceiver = None
    networks: _Networks = ()
    rate_limit: _RateLimit = None
    stale_after: _StaleAfter = None
    format: _Format = None


class SourceChanges(Changes):
    """Fields to change; omitted fields keep their values, null removes a value."""

    kind: _Kind = SourceKind.ALERTMANAGER
    alertmanager_url: _AlertmanagerUrl = None
    receiver: _OurReceiver = None
    networks: _Networks = ()
    rate_limit: _RateLimit = None
    stale_after: _StaleAfter = None
    format: _Format = None
    enabled: Annotated[bool, Field(strict=True, description="False: disables the source; its alerts are rejected.")] = (
        True
    )


class Trial(RequestModel):
    """A body to be tried."""

    kind: _Kind = SourceKind.GENERIC
    format: _Format = None
    body: Annotated[Any, Field(description="What its sender would post.")]


class TriedAlert(ResponseModel):
    """What one alert would become."""

    place: Annotated[int, Field(description="Its place in the body, from 0.")]
    result: Literal["firing", "resolved", "ignored", "rejected"]
    message: Annotated[str | None, Field(description="Why it is none, or what is wrong with it.")]
    name: str | None
    title: Annotated[str | None, Field(description="Of an incident that it would open.")]
    fingerprint: str | None
    service: str | None
    environment: str | None
    severity: str | None
    correlation_key: Annotated[str | None, Field(description="Alerts of one key join one incident.")]
    labels: dict[str, str]
    annotations: dict[str, str]
    unused: Annotated[list[str], Field(description="Keys that say nothing to IMS.")]


class TrialResponse(ResponseModel):
    """What a body would become."""

    alerts: list[TriedAlert]


class SourceResponse(ResponseModel):
    """A sender of alerts. `/tokens` lists its tokens."""

    name: str
    kind: Annotated[
        SourceKind | Literal["internal"], Field(description="`internal`: the source of alerts that IMS raises itself.")
    ]
    state: Annotated[
        SourceState,
        Field(description="`stale`: no data for longer than `stale_after`; `disabled`: its alerts are rejected."),
    ]
    alertmanager_url: str | None
    receiver: str | None
    networks: list[str]
    rate_limit: float | None
    stale_after: float | None
    format: str | None
    created_at: datetime
    disabled_at: datetime | None
    last_notification_at: datetime | None
    reconciled_at: Annotated[datetime | None, Field(description="Last successful poll of its Alertmanager.")]
    reconciliation_problem: Annotated[str | None, Field(description="Why the last poll failed.")]
    reconciliation_withheld: Annotated[
        int,
        Field(description="Alerts missing from its Alertmanager that IMS keeps firing, as the answer is uncertain."),
    ]
    reconciliation_withheld_reason: Annotated[
        Uncertainty | None,
        Field(
            description="`started_lately`, `start_unknown`, `unreadable`: its list may be incomplete; "
            "`several_answered`: the URL must name one Alertmanager, no load balancer; `never_listed`: check the URL."
        ),
    ]
    stale_since: datetime | None
    truncated_alerts: Annotated[
        int | None, Field(description="Left out of its last cut notification, without an Alertmanager to ask for them.")
    ]
    truncated_at: datetime | None
    clock_ahead: Annotated[float | None, Field(description="Seconds that its clock was off when that was last seen.")]
    clock_ahead_at: datetime | None
    warnings: Annotated[list[str], Field(description="What is wrong with how it sends, as seen within a day.")]


class SourceDetails(SourceResponse):
    """A source with the numbers of its alerts, dead letters and tokens."""

    alerts: int
    firing: int
    dead_letters: int
    tokens: int


class SourceList(Listing[SourceResponse]):
    """A page of the list of sources."""


def show_source(source: Source) -> SourceResponse:
    return SourceResponse(**_fields(source))


def show_source_details(source: Source, statistics: SourceStatistics) -> SourceDetails:
    return SourceDetails(
        **_fields(source),
        alerts=statistics.alerts,
        firing=statistics.firing,
        dead_letters=statistics.rejected,
        tokens=statistics.tokens,
    )


def _fields(source: Source) -> dict[str, Any]:
    own = {name: getattr(source, name) for name in SourceResponse.model_fields if name not in ("state", "warnings")}
    return {**own, "state": state_of(source), "warnings": warnings_of(source, clock())}
