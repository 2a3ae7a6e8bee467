"""What people do to incidents, against the real database."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from ims.core.actors import SYSTEM, Actor, ActorKind
from ims.core.db.engine import Database
from ims.core.errors import Conflict, Invalid, NotFound
from ims.incidents import usecases as actions
from ims.incidents.edits import ChangedMeanwhile, editable
from ims.incidents.inputs import Editable, NewIncident
from ims.incidents.models import EventKind, Incident, Status
from ims.incidents.queries import find_incident, timeline_of
from ims.incidents.transitions import NewEvent, append
from tests.support.context import by
from tests.support.history import add_cast

NOW = datetime(2026, 3, 1, 3, 12, 7, tzinfo=UTC)
ALICE = Actor(ActorKind.PERSON, "alice")
BOB = Actor(ActorKind.PERSON, "bob")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def opened(session: Session, **values: str) -> UUID:
    given = NewIncident.model_validate({"title": "checkout is down", "severity": "high", **values})
    own_id = uuid4()
    assert actions.open_incident(by(session, ALICE, NOW), given, incident_id=own_id).is_new
    return own_id


def fresh(session: Session, own_id: UUID) -> Incident:
    session.expire_all()
    return session.get_one(Incident, own_id)


def kinds(session: Session, own_id: UUID) -> list[str]:
    return [event.kind for event in timeline_of(session, own_id)]


def test_an_incident_goes_through_its_life_and_each_step_stands_in_the_timeline(session: Session) -> None:
    own_id = opened(session)
    actions.acknowledge(by(session, BOB, later(42)), str(own_id))
    actions.start_progress(by(session, BOB, later(50)), str(own_id))
    actions.resolve(by(session, BOB, later(90)), str(own_id), note="Restarted it.")
    incident = fresh(session, own_id)
    assert (incident.status, incident.acknowledged_at, incident.resolved_at) == ("resolved", later(42), later(90))
    assert kinds(session, own_id) == ["incident_opened", "acknowledged", "in_progress", "resolved"]
    assert timeline_of(session, own_id)[-1].data == {"note": "Restarted it."}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("step", ["acknowledge", "start_progress", "resolve"])
def test_each_step_is_done_or_refused_as_the_lifecycle_says(session: Session, status: Status, step: str) -> None:
    to = {"acknowledge": "acknowledged", "start_progress": "in_progress", "resolve": "resolved"}[step]
    own_id = opened(session)
    session.flush()
    incident = fresh(session, own_id)
    incident.status, incident.resolved_at = status, NOW if status is Status.RESOLVED else None
    session.flush()
    before = kinds(session, own_id)
    if to in actions.allowed_steps(status):
        getattr(actions, step)(by(session, BOB, later(1)), str(own_id))
        assert fresh(session, own_id).status == to
    else:
        with pytest.raises(Conflict) as refused:
            getattr(actions, step)(by(session, BOB, later(1)), str(own_id))
        assert refused.value.members["allowed"] == actions.allowed_steps(status)
        assert fresh(session, own_id).status == status
        assert kinds(session, own_id) == before


def test_the_first_action_of_a_person_counts_for_mtta_and_later_ones_do_not(session: Session) -> None:
    own_id = opened(session)
    assert fresh(session, own_id).first_human_at is None
    actions.add_note(by(session, BOB, later(5)), str(own_id), "Looking.")
    actions.acknowledge(by(session, BOB, later(9)), str(own_id))
    assert fresh(session, own_id).first_human_at == later(5)


def test_what_automation_does_is_no_human_action(session: Session) -> None:
    own_id = opened(session)
    actions.resolve(by(session, SYSTEM, later(5)), str(own_id))
    assert fresh(session, own_id).first_human_at is None


def test_what_a_person_does_after_the_end_is_no_acknowledgement(session: Session) -> None:
    own_id = opened(session)
    actions.resolve(by(session, SYSTEM, later(5)), str(own_id))
    actions.add_note(by(session, BOB, later(3600)), str(own_id), "The provider explains it.")
    wanted = editable(fresh(session, own_id)).model_copy(update={"severity": "low"})
    version = fresh(session, own_id).version
    actions.edit(by(session, BOB, later(3700)), str(own_id), wanted, version=version)
    assert fresh(session, own_id).first_human_at is None


def test_automation_may_write_notes(session: Session) -> None:
    own_id = opened(session)
    actions.add_note(by(session, SYSTEM, later(5)), str(own_id), "Seen before.")
    assert kinds(session, own_id) == ["incident_opened", "note"]


def test_a_form_sent_twice_opens_one_incident(session: Session) -> None:
    own_id = opened(session)
    given = NewIncident(title="again", severity="low")
    assert not actions.open_incident(by(session, ALICE, NOW), given, incident_id=own_id).is_new
    assert kinds(session, own_id) == ["incident_opened"]


def test_an_edit_changes_what_is_wanted_and_tells_it(session: Session) -> None:
    add_cast(session, NOW)
    own_id = opened(session, team="payments")
    seen = editable(fresh(session, own_id))
    wanted = seen.model_copy(update={"severity": "critical", "assignee": "bob", "team": ""})
    actions.edit(by(session, BOB, later(5)), str(own_id), wanted, version=fresh(session, own_id).version)
    incident = fresh(session, own_id)
    assert (incident.severity, incident.assignee, incident.team) == ("critical", "bob", None)
    changes = timeline_of(session, own_id)[-1].data["changes"]
    assert set(changes) == {"severity", "assignee", "team"}
    assert changes["team"] == {"from": "payments", "to": ""}


def test_an_edit_that_changes_nothing_leaves_no_trace(session: Session) -> None:
    own_id = opened(session)
    incident = fresh(session, own_id)
    actions.edit(by(session, BOB, later(5)), str(own_id), editable(incident), version=incident.version)
    assert kinds(session, own_id) == ["incident_opened"]


def test_an_assignee_without_an_account_is_refused(session: Session) -> None:
    own_id = opened(session)
    incident = fresh(session, own_id)
    wanted = editable(incident).model_copy(update={"assignee": "nobody-we-know"})
    with pytest.raises(Invalid):
        actions.edit(by(session, BOB, later(5)), str(own_id), wanted, version=incident.version)
    with pytest.raises(Invalid):
        actions.assign(by(session, BOB, later(5)), str(own_id), "nobody-we-know")


def _after_alice_made_it_critical(session: Session) -> tuple[UUID, Editable, int]:
    own_id = opened(session)
    incident = fresh(session, own_id)
    seen, version = editable(incident), incident.version
    changed = seen.model_copy(update={"severity": "critical"})
    actions.edit(by(session, ALICE, later(1)), str(own_id), changed, version=version, seen=seen)
    return own_id, seen, version


def test_a_stale_edit_of_the_same_field_is_refused_and_says_what_it_is_now(session: Session) -> None:
    own_id, seen, version = _after_alice_made_it_critical(session)
    wanted = seen.model_copy(update={"severity": "low"})
    with pytest.raises(ChangedMeanwhile) as refused:
        actions.edit(by(session, BOB, later(2)), str(own_id), wanted, version=version, seen=seen)
    assert [(wrong.field, wrong.message) for wrong in refused.value.fields] == [("severity", "is now “critical”")]
    assert fresh(session, own_id).severity == "critical"


def test_an_edit_of_another_field_keeps_what_somebody_else_changed(session: Session) -> None:
    own_id, seen, version = _after_alice_made_it_critical(session)
    wanted = seen.model_copy(update={"title": "checkout and search are down"})
    actions.edit(by(session, BOB, later(2)), str(own_id), wanted, version=version, seen=seen)
    incident = fresh(session, own_id)
    assert (incident.title, incident.severity) == ("checkout and search are down", "critical")


def test_a_timeline_that_merely_grew_is_no_conflict(session: Session) -> None:
    own_id = opened(session)
    incident = fresh(session, own_id)
    seen, version = editable(incident), incident.version
    append(session, [NewEvent(own_id, EventKind.ALERT_FIRING, SYSTEM)], later(1))
    wanted = seen.model_copy(update={"severity": "low"})
    actions.edit(by(session, BOB, later(2)), str(own_id), wanted, version=version, seen=seen)
    assert list(timeline_of(session, own_id)[-1].data["changes"]) == ["severity"]


def test_an_old_version_without_what_was_seen_is_refused(session: Session) -> None:
    own_id, seen, version = _after_alice_made_it_critical(session)
    with pytest.raises(ChangedMeanwhile):
        actions.edit(by(session, BOB, later(2)), str(own_id), seen, version=version)


def test_what_does_not_exist_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound):
        actions.acknowledge(by(session, BOB, NOW), str(uuid4()))
    with pytest.raises(NotFound):
        actions.add_note(by(session, BOB, NOW), str(uuid4()), "x")


def test_two_people_at_once_see_one_success_and_one_refusal_and_no_note_is_lost(database: Database) -> None:
    with database.begin() as session:
        ids = [opened(session) for _ in range(12)]
    outcomes: list[str] = []

    def work(actor: Actor) -> None:
        for own_id in ids:
            try:
                with database.begin() as session:
                    actions.acknowledge(by(session, actor, later(1)), str(own_id))
                    actions.add_note(by(session, actor, later(1)), str(own_id), f"{actor.name} is here")
                outcomes.append("done")
            except Conflict:
                outcomes.append("not allowed")
            with database.begin() as session:
                actions.add_note(by(session, actor, later(2)), str(own_id), "second")

    threads = [threading.Thread(target=work, args=[actor]) for actor in (ALICE, BOB)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done"] * 12 + ["not allowed"] * 12
    with database.begin() as session:
        for own_id in ids:
            events = timeline_of(session, own_id)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert sorted(event.kind for event in events) == ["acknowledged", "incident_opened", "note", "note", "note"]


def test_incidents_are_found_by_number_and_by_id(session: Session) -> None:
    own_id = opened(session)
    number = fresh(session, own_id).number
    for reference in (f"INC-{number}", f"inc-{number}", str(number), str(own_id)):
        assert find_incident(session, reference).id == own_id
    for reference in ("INC-0", "INC-999999999999999999", "9" * 40, "INC-1'", "", "٣", "\0", "x" * 5000):
        with pytest.raises(NotFound):
            find_incident(session, reference)
