"""Which alerts an Alertmanager sends to a receiver, and how long it may wait before it sends them.

Alertmanager does not send every firing alert. `GET /api/v2/alerts` shows which are silenced or inhibited, but lists an
alert that a time interval mutes as active. `GET /api/v2/alerts/groups` shows mutes, too, for each receiver, since
Alertmanager 0.28.

Before it sends an alert, Alertmanager waits for the `group_wait` of its group, or for the next `group_interval` if it
has notified of the group before. Both are in the configuration that `GET /api/v2/status` returns.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, Self

MOST_CONFIGURATION: Final = 4 * 1024 * 1024
"""Maximum size of a configuration that is parsed, in characters."""
MOST_ROUTES: Final = 10_000
"""Maximum number of routes that are read: with YAML's aliases a short text can have any number of them."""
MOST_WAIT: Final = timedelta(days=7)
"""A longer `group_wait` or `group_interval` counts as this."""

# The defaults of Alertmanager: config/config.go, DefaultGlobalConfig and dispatch/route.go, DefaultRouteOpts.
DEFAULT_GROUP_WAIT: Final = timedelta(seconds=30)
DEFAULT_GROUP_INTERVAL: Final = timedelta(minutes=5)
DEFAULT_WAIT: Final = max(DEFAULT_GROUP_WAIT, DEFAULT_GROUP_INTERVAL)

_UNITS: Final = {"y": 365 * 86400.0, "w": 7 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION: Final = re.compile(r"(?:(?:[0-9]{1,9})(?:ms|[ywdhms]))+")
_PART: Final = re.compile(r"([0-9]+)(ms|[ywdhms])")


@dataclass(frozen=True, slots=True)
class Routing:
    """What reconciliation needs of an Alertmanager's routes, by receiver."""

    waits: Mapping[str, timedelta] = field(default_factory=dict)
    """For each receiver, the longest time for which grouping delays an alert."""
    timed: frozenset[str] = frozenset()
    """Receivers with a route that has `mute_time_intervals` or `active_time_intervals`."""

    def wait_of(self, receiver: str) -> timedelta:
        """The longest time for which grouping delays an alert for a receiver."""
        return self.waits.get(receiver, DEFAULT_WAIT)


UNKNOWN: Final = Routing()
"""Without a configuration the defaults of Alertmanager apply."""


@dataclass(frozen=True, slots=True)
class Deliverable:
    """An alert that Alertmanager sends to a receiver, or has sent already."""

    alert: Mapping[str, Any]
    """As the API lists it."""
    wait: timedelta
    """For how long grouping may delay it."""


def read_routing(status: Mapping[str, Any]) -> Routing:
    """The routing in the configuration of an Alertmanager's status; `UNKNOWN` if it is missing or cannot be parsed."""
    config = status.get("config")
    original = config.get("original") if isinstance(config, dict) else None
    return _parse(original) if isinstance(original, str) and len(original) <= MOST_CONFIGURATION else UNKNOWN


# The configuration is polled every half minute and rarely changes.
@lru_cache(maxsize=16)
def _parse(original: str) -> Routing:
    # Imported here, since of the programs that import this module only the worker polls Alertmanagers.
    import yaml

    try:
        parsed = yaml.safe_load(original)
    except (yaml.YAMLError, ValueError, RecursionError):
        return UNKNOWN
    root = parsed.get("route") if isinstance(parsed, dict) else None
    waits: dict[str, timedelta] = {}
    timed = set()
    for place in _places(root):
        waits[place.receiver] = max(waits.get(place.receiver, timedelta()), place.group_wait, place.group_interval)
        if place.is_timed:
            timed.add(place.receiver)
    return Routing(waits, frozenset(timed))


@dataclass(frozen=True, slots=True)
class _Place:
    """A route, with the values that it inherits."""

    receiver: str = ""
    group_wait: timedelta = DEFAULT_GROUP_WAIT
    group_interval: timedelta = DEFAULT_GROUP_INTERVAL
    is_timed: bool = False

    def of(self, route: Mapping[str, Any]) -> Self:
        """A child route of this one. It inherits everything except time intervals."""
        receiver = route.get("receiver")
        return replace(
            self,
            receiver=receiver if isinstance(receiver, str) and receiver else self.receiver,
            group_wait=_duration(route.get("group_wait"), self.group_wait),
            group_interval=_duration(route.get("group_interval"), self.group_interval),
            is_timed=bool(route.get("mute_time_intervals") or route.get("active_time_intervals")),
        )


def _places(root: Any) -> Iterator[_Place]:
    waiting: list[tuple[_Place, Any]] = [(_Place(), root)]
    for _ in range(MOST_ROUTES):
        if not waiting:
            return
        above, route = waiting.pop()
        if not isinstance(route, dict):
            continue
        place = above.of(route)
        yield place
        below = route.get("routes")
        waiting += [(place, one) for one in below[:MOST_ROUTES]] if isinstance(below, list) else []


def _duration(given: Any, inherited: timedelta) -> timedelta:
    """A duration in Prometheus' format, such as 1h30m; the inherited one if it is missing or invalid."""
    if not isinstance(given, str) or not _DURATION.fullmatch(given):
        return inherited
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(given))
    return timedelta(seconds=min(seconds, MOST_WAIT.total_seconds()))


def deliverable(
    groups: Iterable[Any], receiver: str | None, routing: Routing, beside: Collection[str] = ()
) -> Iterator[Deliverable]:
    """The alerts in the groups of `GET /api/v2/alerts/groups` that are sent to `receiver` (to any, if None).

    With `beside`, only groups with an alert that has one of these fingerprints are read; all groups, if there are none.
    An alert in several groups is returned several times.

    Suppressed alerts are left out. If Alertmanager does not show which alerts are muted (before 0.28), all alerts of a
    receiver with time intervals are left out, too: to open an incident and heal during a mute would be worse than to
    miss an alert whose notification was lost.
    """
    read = [_read_group(group) for group in groups]
    # If all alerts of a truncated notification have resolved since, no group lists them any more.
    beside_them = [one for one in read if any(alert.get("fingerprint") in beside for alert in one[1])]
    for name, alerts in beside_them or read:
        if name is None or (receiver is not None and name != receiver):
            continue
        wait, may_be_muted = routing.wait_of(name), name in routing.timed
        yield from (Deliverable(alert, wait) for alert in alerts if _is_sent(alert, may_be_muted=may_be_muted))


def _read_group(group: Any) -> tuple[str | None, list[dict[str, Any]]]:
    receiver = group.get("receiver") if isinstance(group, dict) else None
    name = receiver.get("name") if isinstance(receiver, dict) else None
    alerts = group.get("alerts") if isinstance(group, dict) else None
    if not isinstance(name, str) or not isinstance(alerts, list):
        return None, []
    return name, [alert for alert in alerts if isinstance(alert, dict)]


def _is_sent(alert: Mapping[str, Any], *, may_be_muted: bool) -> bool:
    status = alert.get("status")
    if not isinstance(status, dict) or status.get("state") != "active":
        return False
    muted_by = status.get("mutedBy")
    return not may_be_muted if muted_by is None else not muted_by
