"""What an Alertmanager would send to a receiver: which alerts, and how long it may wait before it does.

Not every alert that fires is sent. `GET /api/v2/alerts` knows silences and inhibition, but lists an alert that a time
interval mutes as active. `GET /api/v2/alerts/groups` knows that too, for each receiver, since Alertmanager 0.28.

An alert that is sent waits first: for the `group_wait` of its group, or for the next `group_interval` if the group has
been notified before. Both are in the configuration that `GET /api/v2/status` returns.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, Self

MOST_CONFIGURATION: Final = 4 * 1024 * 1024
"""Longest configuration that is read, in characters."""
MOST_ROUTES: Final = 10_000
"""Most routes that are read: YAML's aliases can turn a short text into any number of them."""
MOST_WAIT: Final = timedelta(days=7)

# The defaults of Alertmanager: config/config.go, DefaultGlobalConfig and dispatch/route.go, DefaultRouteOpts.
DEFAULT_GROUP_WAIT: Final = timedelta(seconds=30)
DEFAULT_GROUP_INTERVAL: Final = timedelta(minutes=5)
DEFAULT_WAIT: Final = max(DEFAULT_GROUP_WAIT, DEFAULT_GROUP_INTERVAL)

_UNITS: Final = {"y": 365 * 86400.0, "w": 7 * 86400.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION: Final = re.compile(r"(?:(?:[0-9]{1,9})(?:ms|[ywdhms]))+")
_PART: Final = re.compile(r"([0-9]+)(ms|[ywdhms])")


@dataclass(frozen=True, slots=True)
class Routing:
    """What matters here of an Alertmanager's routes, by the name of their receiver."""

    waits: Mapping[str, timedelta] = field(default_factory=dict)
    """The longest time for which grouping holds back an alert."""
    timed: frozenset[str] = frozenset()
    """Receivers with a route that time intervals mute or activate."""

    def wait_of(self, receiver: str) -> timedelta:
        """The longest time for which grouping holds back an alert for a receiver."""
        return self.waits.get(receiver, DEFAULT_WAIT)


UNKNOWN: Final = Routing()
"""Without a configuration the defaults of Alertmanager apply."""


@dataclass(frozen=True, slots=True)
class Deliverable:
    """An alert that is sent to a receiver, if it has not been sent yet."""

    alert: Mapping[str, Any]
    """As the API lists it."""
    wait: timedelta
    """For how long grouping may hold it back."""


def read_routing(status: Mapping[str, Any]) -> Routing:
    """The routing of the configuration in an Alertmanager's status; `UNKNOWN` if there is none that can be read."""
    config = status.get("config")
    original = config.get("original") if isinstance(config, dict) else None
    return _parse(original) if isinstance(original, str) and len(original) <= MOST_CONFIGURATION else UNKNOWN


# Polled every half minute, it is the same nearly every time.
@lru_cache(maxsize=16)
def _parse(original: str) -> Routing:
    # Imported here: of the programs that read alerts only a worker polls.
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
    """A route with what it inherits."""

    receiver: str = ""
    group_wait: timedelta = DEFAULT_GROUP_WAIT
    group_interval: timedelta = DEFAULT_GROUP_INTERVAL
    is_timed: bool = False

    def of(self, route: Mapping[str, Any]) -> Self:
        """A route below this one. It inherits everything except time intervals."""
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
    """A duration as Prometheus writes it, such as 1h30m; the inherited one if there is none."""
    if not isinstance(given, str) or not _DURATION.fullmatch(given):
        return inherited
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(given))
    return timedelta(seconds=min(seconds, MOST_WAIT.total_seconds()))


def deliverable(
    groups: Iterable[Any], receiver: str | None, routing: Routing, beside: Collection[str] = ()
) -> Iterator[Deliverable]:
    """The alerts that groups of `GET /api/v2/alerts/groups` have for `receiver` (for any, if None).

    With `beside`, only groups that hold an alert with one of these fingerprints count, if there are any. An alert in
    several groups comes several times.

    Suppressed alerts are left out. If the Alertmanager does not say what time intervals mute, so are all alerts of a
    receiver that has such intervals: to open an incident and to heal in a time that somebody muted would be worse than
    to miss an alert whose notification was lost.
    """
    read = [_read_group(group) for group in groups]
    # All alerts of a truncated notification may have resolved, and then their group does not list them any more.
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
