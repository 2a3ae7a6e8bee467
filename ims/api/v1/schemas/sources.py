"""Sources as programs write and see them."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from ims.alerts.snapshot import Uncertainty
from ims.alerts.source_statistics import SourceStatistics
from ims.core.schemas import Changes, Listing, RequestModel, ResponseModel
from ims.core.validation import FILLED_LINE_SCHEMA, one_line
from ims.sources.definition import MOST_NETWORKS, NAME_LENGTH, SourceKind
from ims.sources.models import Source
from ims.sources.state import SourceState, state_of

_LONGEST_URL: Final = 2000
_LONGEST_SILENCE: Final = 30 * 86400

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
_Kind = Annotated[SourceKind, Field(description="What it sends, and so how it is read.")]
_AlertmanagerUrl = Annotated[
    _Url | None, Field(description="Its own Alertmanager, which is asked for what was missed.")
]
_OurReceiver = Annotated[
    _Receiver | None, Field(description="Our receiver in that Alertmanager; without it, every alert is ours.")
]
_Networks = Annotated[
    tuple[_Network, ...], Field(max_length=MOST_NETWORKS, description="It may send from these only; none is anywhere.")
]
_RateLimit = Annotated[
    float | None, Field(strict=True, gt=0, le=1_000_000, description="Alerts a second that one process takes from it.")
]
_StaleAfter = Annotated[
    float | None,
    Field(strict=True, ge=0, le=_LONGEST_SILENCE, description="Seconds of silence that are told; 0: never."),
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


class SourceChanges(Changes):
    """What to change; what is left out stays, and null takes a value away."""

    kind: _Kind = SourceKind.ALERTMANAGER
    alertmanager_url: _AlertmanagerUrl = None
    receiver: _OurReceiver = None
    networks: _Networks = ()
    rate_limit: _RateLimit = None
    stale_after: _StaleAfter = None
    enabled: Annotated[bool, Field(strict=True, description="False: nothing is taken from it any more.")] = True


class SourceResponse(ResponseModel):
    """A sender of alerts. Its tokens are a part of their own."""

    name: str
    kind: Annotated[
        SourceKind | Literal["internal"], Field(description="`internal` is what IMS itself raises alerts as.")
    ]
    state: Annotated[
        SourceState,
        Field(description="`silent`: not heard for too long; `disabled`: nothing is taken from it."),
    ]
    alertmanager_url: str | None
    receiver: str | None
    networks: list[str]
    rate_limit: float | None
    stale_after: float | None
    created_at: datetime
    disabled_at: datetime | None
    last_notification_at: datetime | None
    reconciled_at: Annotated[datetime | None, Field(description="When its Alertmanager was last asked, and answered.")]
    reconciliation_problem: Annotated[str | None, Field(description="Why it could not be asked the last time.")]
    reconciliation_withheld: Annotated[
        int,
        Field(description="Alerts its Alertmanager does not list and that go on all the same: it is not believed."),
    ]
    reconciliation_withheld_reason: Annotated[
        Uncertainty | None,
        Field(
            description="`started_lately`, `start_unknown`, `unreadable`: its list may not be whole; "
            "`several_answered`: name one Alertmanager, not a balancer; `never_listed`: is the URL right?"
        ),
    ]
    stale_since: datetime | None


class SourceWhole(SourceResponse):
    """A source with how much there is of it."""

    alerts: int
    firing: int
    rejected: int
    tokens: int


class SourceList(Listing[SourceResponse]):
    """A page of the list of sources."""


def show_source(source: Source) -> SourceResponse:
    """A source as programs see it."""
    return SourceResponse(**_fields(source))


def show_source_whole(source: Source, statistics: SourceStatistics) -> SourceWhole:
    """A source with its statistics."""
    counted = {name: getattr(statistics, name) for name in ("alerts", "firing", "rejected", "tokens")}
    return SourceWhole(**_fields(source), **counted)


def _fields(source: Source) -> dict[str, Any]:
    own = {name: getattr(source, name) for name in SourceResponse.model_fields if name != "state"}
    return {**own, "state": state_of(source)}
