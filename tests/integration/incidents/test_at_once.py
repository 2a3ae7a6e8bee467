"""Two people at one incident at the same moment: one order of events, no impossible state, no lost note."""

import os
import threading
from collections.abc import Callable
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from ims.core.actors import Actor, ActorKind
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.errors import Conflict
from ims.incidents import usecases as actions
from ims.incidents.inputs import NewIncident
from ims.incidents.models import Incident, Status
from ims.incidents.queries import timeline_of
from tests.support.context import by

ROUNDS = int(os.environ.get("IMS_RACE_ROUNDS", "250"))
ALICE, BOB = (Actor(ActorKind.PERSON, name) for name in ("alice", "bob"))
Step = Callable[..., None]

# What may follow what in a timeline, by the events' kinds.
AFTER = {"incident_opened": {"acknowledged", "resolved"}, "acknowledged": {"resolved"}}


def _open(session: Session) -> UUID:
    given = NewIncident(title="checkout is down", severity="high")
    own_id = uuid4()
    actions.open_incident(by(session, ALICE, utc_now()), given, incident_id=own_id)
    return own_id


def _do(database: Database, barrier: threading.Barrier, own_id: UUID, step: Step, actor: Actor) -> str:
    """A note and a step in one transaction, as the API does it; says how it ended."""
    barrier.wait()
    try:
        with database.begin() as session:
            actions.change(by(session, actor, utc_now()), str(own_id), {}, note=f"{actor.name} was here")
            step(by(session, actor, utc_now()), str(own_id))
    except Conflict:
        with database.begin() as session:
            actions.add_note(by(session, actor, utc_now()), str(own_id), f"{actor.name} was here")
        return "not allowed"
    return "done"


@pytest.mark.timeout(300)
def test_two_people_resolving_and_acknowledging_at_once(database: Database) -> None:
    orders: set[tuple[str, ...]] = set()
    for _ in range(ROUNDS):
        with database.begin() as session:
            own_id = _open(session)
        ended: dict[str, str] = {}
        barrier = threading.Barrier(2)

        def act(step: Step, actor: Actor, barrier: threading.Barrier = barrier, own_id: UUID = own_id,
                ended: dict[str, str] = ended) -> None:  # fmt: skip
            ended[actor.name] = _do(database, barrier, own_id, step, actor)

        people = [
            threading.Thread(target=act, args=pair) for pair in ((actions.acknowledge, ALICE), (actions.resolve, BOB))
        ]
        for one in people:
            one.start()
        for one in people:
            one.join()
        orders.add(_look(database, own_id, ended))
    # Both orders happened, or nothing was shown.
    assert orders == {("acknowledged", "resolved"), ("resolved",)}


def _look(database: Database, own_id: UUID, ended: dict[str, str]) -> tuple[str, ...]:
    """Check what is left of a round, and give the steps in the order that the timeline tells."""
    with database.begin() as session:
        incident = session.get_one(Incident, own_id)
        events = timeline_of(session, own_id)
    assert incident.status == Status.RESOLVED
    assert ended["bob"] == "done"
    assert (incident.acknowledged_at is not None) == (ended["alice"] == "done")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert incident.last_seq == len(events)
    notes = sorted(event.data["text"] for event in events if event.kind == "note")
    assert notes == ["alice was here", "bob was here"]
    steps = [event.kind for event in events if event.kind != "note"]
    assert all(after in AFTER[before] for before, after in pairwise(steps)), steps
    if incident.acknowledged_at and incident.resolved_at:
        assert ended["alice"] == "done"
    return tuple(steps[1:])
