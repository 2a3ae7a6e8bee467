"""Take heartbeats, and tell of those that do not come by an alert like any other, of source `ims`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.alerts.ingest import Outcome, ingest
from ims.alerts.notifications import AlertNotification, NotificationStatus, labels_fingerprint
from ims.alerts.stale_sources import OWN_KIND
from ims.core.context import Context
from ims.core.errors import Forbidden, NotFound
from ims.heartbeats.models import StoredHeartbeat
from ims.policy.heartbeats import Heartbeat
from ims.policy.queries import policy_in_force
from ims.policy.schema import Policy
from ims.sources.definition import OWN_SOURCE
from ims.sources.models import Source

ALERT_NAME: Final = "HeartbeatMissed"


class UnknownHeartbeat(NotFound):
    """No heartbeat of this name is expected: declare it in `heartbeats` of the policy, and load the policy."""


class HeartbeatOfAnother(Forbidden):
    """The policy says that another source sends this heartbeat."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Heartbeats that were found missing now, and those that came back or are expected no more."""

    missed: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    outcome: Outcome | None = None


def is_heartbeat(body: Any) -> bool:
    """Whether a body is a sign of life: anything but a notification that its alert is resolved.

    Alertmanager resolves the Watchdog of a Prometheus that is dead: that is the opposite of a sign of life.
    """
    return not (isinstance(body, dict) and body.get("status") == "resolved")


def take_heartbeat(context: Context, name: str) -> None:
    """Note a heartbeat that a source has sent. Raises `UnknownHeartbeat` and `HeartbeatOfAnother`."""
    source = context.principal.name
    expected = _expected(policy_in_force(context.session)).get(name)
    if expected is None:
        raise UnknownHeartbeat
    if expected.source not in (None, source):
        raise HeartbeatOfAnother
    came = {"last_at": context.now, "last_source": source}
    statement = insert(StoredHeartbeat).values(name=name, known_at=context.now, **came)
    context.session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=came))


def check_heartbeats(session: Session, watching_since: datetime, now: datetime) -> Checked:
    """See which heartbeats are missed and which came back, and take the alerts that tell.

    Time before `watching_since` is not held against anybody: while IMS was down nothing could come.
    """
    policy = policy_in_force(session)
    expected = _expected(policy)
    # An insert of a name that is there would wait for whoever changes its row.
    for name in sorted(expected.keys() - set(session.scalars(select(StoredHeartbeat.name)))):
        session.execute(insert(StoredHeartbeat).values(name=name, known_at=now).on_conflict_do_nothing())
    # Another worker that is at one of them just now tells of it.
    rows = select(StoredHeartbeat).order_by(StoredHeartbeat.name).with_for_update(skip_locked=True)
    missed: list[StoredHeartbeat] = []
    returned: list[StoredHeartbeat] = []
    for heartbeat in session.scalars(rows).all():
        definition = expected.get(heartbeat.name)
        if definition is None:
            returned += [heartbeat] if heartbeat.missed_since else []
            session.delete(heartbeat)
        elif heartbeat.missed_since is None and now > _due(heartbeat, definition, watching_since):
            heartbeat.missed_since = now
            missed.append(heartbeat)
        elif heartbeat.missed_since and heartbeat.last_at and heartbeat.last_at > heartbeat.missed_since:
            heartbeat.missed_since = None
            returned.append(heartbeat)
    session.flush()
    return _tell(session, policy, missed, returned, now)


def _expected(policy: Policy) -> Mapping[str, Heartbeat]:
    return {heartbeat.name: heartbeat for heartbeat in policy.heartbeats}


def _due(heartbeat: StoredHeartbeat, definition: Heartbeat, watching_since: datetime) -> datetime:
    return max(heartbeat.last_at or heartbeat.known_at, watching_since) + timedelta(
        seconds=definition.every + definition.grace
    )


def _tell(
    session: Session, policy: Policy, missed: list[StoredHeartbeat], returned: list[StoredHeartbeat], now: datetime
) -> Checked:
    if not missed and not returned:
        return Checked()
    own = {"name": OWN_SOURCE, "kind": OWN_KIND, "created_at": now}
    session.execute(insert(Source).values(**own).on_conflict_do_nothing())
    expected = _expected(policy)
    notifications = [
        _notification(heartbeat, expected.get(heartbeat.name), is_missed=True, now=now) for heartbeat in missed
    ]
    notifications += [
        _notification(heartbeat, expected.get(heartbeat.name), is_missed=False, now=now) for heartbeat in returned
    ]
    return Checked(
        missed=tuple(heartbeat.name for heartbeat in missed),
        returned=tuple(heartbeat.name for heartbeat in returned),
        outcome=ingest(session, notifications, [], policy, now),
    )


def _notification(
    heartbeat: StoredHeartbeat, definition: Heartbeat | None, *, is_missed: bool, now: datetime
) -> AlertNotification:
    identity = {"alertname": ALERT_NAME, "heartbeat": heartbeat.name}
    labels = dict(identity)
    if definition:
        labels |= {"severity": definition.severity} | ({"service": definition.service} if definition.service else {})
    last = f"{heartbeat.last_at:%Y-%m-%d %H:%M:%S} UTC" if heartbeat.last_at else "never"
    return AlertNotification(
        source=OWN_SOURCE,
        # Of what never changes: an edit of the policy must not leave an alert that nothing resolves.
        fingerprint=labels_fingerprint(identity),
        status=NotificationStatus.FIRING if is_missed else NotificationStatus.RESOLVED,
        name=ALERT_NAME,
        labels=labels,
        annotations={
            "summary": f"Heartbeat {heartbeat.name} does not come",
            "description": f"The last sign of life of {heartbeat.name} came: {last}. See whether what sends it runs, and "
            f"whether it reaches the webhook at /heartbeats/{heartbeat.name} with a valid token.",
        },
        starts_at=now if is_missed else None,
        ends_at=None if is_missed else now,
        generator_url=None,
    )
