"""Take heartbeats, and tell of those that do not come by an alert like any other, of source `ims`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.alerts.ingest import Outcome, ingest
from ims.alerts.notifications import Notice, NoticeStatus, labels_fingerprint
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


def is_beat(body: Any) -> bool:
    """Whether a body is a sign of life: anything but a notification that its alert is resolved.

    Alertmanager resolves the Watchdog of a Prometheus that is dead: that is the opposite of a sign of life.
    """
    return not (isinstance(body, dict) and body.get("status") == "resolved")


def take_beat(context: Context, name: str) -> None:
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
    for beat in session.scalars(rows).all():
        definition = expected.get(beat.name)
        if definition is None:
            returned += [beat] if beat.missed_since else []
            session.delete(beat)
        elif beat.missed_since is None and now > _due(beat, definition, watching_since):
            beat.missed_since = now
            missed.append(beat)
        elif beat.missed_since and beat.last_at and beat.last_at > beat.missed_since:
            beat.missed_since = None
            returned.append(beat)
    session.flush()
    return _tell(session, policy, missed, returned, now)


def _expected(policy: Policy) -> Mapping[str, Heartbeat]:
    return {heartbeat.name: heartbeat for heartbeat in policy.heartbeats}


def _due(beat: StoredHeartbeat, definition: Heartbeat, watching_since: datetime) -> datetime:
    return max(beat.last_at or beat.known_at, watching_since) + timedelta(seconds=definition.every + definition.grace)


def _tell(
    session: Session, policy: Policy, missed: list[StoredHeartbeat], returned: list[StoredHeartbeat], now: datetime
) -> Checked:
    if not missed and not returned:
        return Checked()
    own = {"name": OWN_SOURCE, "kind": OWN_KIND, "created_at": now}
    session.execute(insert(Source).values(**own).on_conflict_do_nothing())
    expected = _expected(policy)
    notices = [_notice(beat, expected.get(beat.name), is_missed=True, now=now) for beat in missed]
    notices += [_notice(beat, expected.get(beat.name), is_missed=False, now=now) for beat in returned]
    return Checked(
        missed=tuple(beat.name for beat in missed),
        returned=tuple(beat.name for beat in returned),
        outcome=ingest(session, notices, [], policy, now),
    )


def _notice(beat: StoredHeartbeat, definition: Heartbeat | None, *, is_missed: bool, now: datetime) -> Notice:
    identity = {"alertname": ALERT_NAME, "heartbeat": beat.name}
    labels = dict(identity)
    if definition:
        labels |= {"severity": definition.severity} | ({"service": definition.service} if definition.service else {})
    last = f"{beat.last_at:%Y-%m-%d %H:%M:%S} UTC" if beat.last_at else "never"
    return Notice(
        source=OWN_SOURCE,
        # Of what never changes: an edit of the policy must not leave an alert that nothing resolves.
        fingerprint=labels_fingerprint(identity),
        status=NoticeStatus.FIRING if is_missed else NoticeStatus.RESOLVED,
        name=ALERT_NAME,
        labels=labels,
        annotations={
            "summary": f"Heartbeat {beat.name} does not come",
            "description": f"The last sign of life of {beat.name} came: {last}. See whether what sends it runs, and "
            f"whether it reaches the webhook at /heartbeats/{beat.name} with a valid token.",
        },
        starts_at=now if is_missed else None,
        ends_at=None if is_missed else now,
        generator_url=None,
    )
