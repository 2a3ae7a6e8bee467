"""Accept heartbeats, and raise an alert of source `ims` for each one that is missed."""

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
    """The policy has no heartbeat of this name: declare it in `heartbeats`, and load the policy."""


class HeartbeatOfAnother(Forbidden):
    """The policy assigns this heartbeat to another source."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Heartbeats that became missed, and those that returned or are no longer in the policy."""

    missed: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    outcome: Outcome | None = None


def is_heartbeat(body: Any) -> bool:
    """Whether a body is a heartbeat: anything but a notification that its alert is resolved.

    Alertmanager resolves Watchdog when Prometheus is down: such a notification is the opposite of a heartbeat.
    """
    return not (isinstance(body, dict) and body.get("status") == "resolved")


def take_heartbeat(context: Context, name: str) -> None:
    """Record a heartbeat that a source has sent. Raises `UnknownHeartbeat` and `HeartbeatOfAnother`."""
    source = context.principal.name
    expected = _expected(policy_in_force(context.session)).get(name)
    if expected is None:
        raise UnknownHeartbeat
    if expected.source not in (None, source):
        raise HeartbeatOfAnother
    last = {"last_at": context.now, "last_source": source}
    statement = insert(StoredHeartbeat).values(name=name, known_at=context.now, **last)
    context.session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=last))


def check_heartbeats(session: Session, watching_since: datetime, now: datetime) -> Checked:
    """Find the heartbeats that became missed or returned, and ingest the alerts about them.

    Time before `watching_since` does not count: while IMS was down no heartbeat could arrive.
    """
    policy = policy_in_force(session)
    expected = _expected(policy)
    # Only new names: inserting an existing one would wait for a transaction that changes its row.
    for name in sorted(expected.keys() - set(session.scalars(select(StoredHeartbeat.name)))):
        session.execute(insert(StoredHeartbeat).values(name=name, known_at=now).on_conflict_do_nothing())
    # A worker that has locked one of them handles it.
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
    return _ingest_alerts(session, policy, missed, returned, now)


def _expected(policy: Policy) -> Mapping[str, Heartbeat]:
    return {heartbeat.name: heartbeat for heartbeat in policy.heartbeats}


def _due(heartbeat: StoredHeartbeat, definition: Heartbeat, watching_since: datetime) -> datetime:
    return max(heartbeat.last_at or heartbeat.known_at, watching_since) + timedelta(
        seconds=definition.every + definition.grace
    )


def _ingest_alerts(
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
        # Only of labels that never change: after an edit of the policy the alert must still resolve.
        fingerprint=labels_fingerprint(identity),
        status=NotificationStatus.FIRING if is_missed else NotificationStatus.RESOLVED,
        name=ALERT_NAME,
        labels=labels,
        annotations={
            "summary": f"Heartbeat {heartbeat.name} is missed",
            "description": f"Last heartbeat of {heartbeat.name}: {last}. Check that its sender runs, and that it "
            f"reaches the webhook at /heartbeats/{heartbeat.name} with a valid token.",
        },
        starts_at=now if is_missed else None,
        ends_at=None if is_missed else now,
        generator_url=None,
        group=(("heartbeat", heartbeat.name),),
    )
