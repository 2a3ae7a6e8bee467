"""The page of dead letters."""

import pytest
from sqlalchemy import select

from ims.alerts.ingest import ingest
from ims.alerts.models import Alert, DeadLetter
from ims.alerts.notifications import RejectReason, reject
from ims.core.db.engine import Database
from ims.policy.queries import NO_POLICY
from ims.web.pages.dead_letters import PAGE_ROWS
from tests.integration.web.conftest import SignIn, token
from tests.support.notifications import NOW, SOURCE, alertmanager_alert


def put_aside(database: Database, *alerts: object) -> list[int]:
    with database.begin() as session:
        rejected = [reject(alert, SOURCE, RejectReason.WRONG_STATUS, "It was wrong.") for alert in alerts]
        ingest(session, [], rejected, NO_POLICY, NOW)
        return list(session.scalars(select(DeadLetter.id).order_by(DeadLetter.id)))[-len(alerts) :]


def test_nothing_is_said_plainly(sign_in: SignIn) -> None:
    assert "There are no dead letters." in sign_in("bob").get("/dead-letters").text


def test_the_body_of_a_dead_letter_is_shown_as_text_not_markup(sign_in: SignIn, database: Database) -> None:
    put_aside(database, {"status": "<script>alert(1)</script>"})
    page = sign_in("charlie").get("/dead-letters").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "Wrong status" in page
    assert "It was wrong." in page
    assert "Retry" not in page


def test_bob_tries_one_again_and_drops_another(sign_in: SignIn, database: Database) -> None:
    good, bad = put_aside(database, alertmanager_alert("Repaired"), {"status": "on fire"})
    bob = sign_in("bob")
    for id_, shown in ((good, f"{good}: opened."), (bad, f"{bad}: still rejected.")):
        answer = bob.post(f"/dead-letters/{id_}/retry", data=token(bob), follow_redirects=True)
        assert (answer.status_code, shown in answer.text) == (200, True)
    assert "dropped" in bob.post(f"/dead-letters/{bad}/drop", data=token(bob), follow_redirects=True).text
    again = bob.post(f"/dead-letters/{bad}/retry", data=token(bob))
    assert (again.status_code, "it may have been retried or dropped already" in again.text) == (404, True)
    with database.begin() as session:
        assert session.scalars(select(DeadLetter)).all() == []
        assert session.scalars(select(Alert.name).where(Alert.name == "Repaired")).all() == ["Repaired"]


def test_many_are_shown_page_by_page(sign_in: SignIn, database: Database) -> None:
    # In transactions of their own: of many in one, only a few are kept.
    ids = [id_ for number in range(PAGE_ROWS + 3) for id_ in put_aside(database, number)]
    bob = sign_in("bob")
    first = bob.get("/dead-letters").text
    assert first.count("Retry") == PAGE_ROWS
    assert f"before={ids[3]}" in first
    assert bob.get(f"/dead-letters?before={ids[3]}").text.count("Retry") == 3


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "9" * 19, "²"])
def test_invalid_query_parameters_are_rejected(sign_in: SignIn, before: str) -> None:
    assert sign_in("bob").get("/dead-letters", query_string={"before": before}).status_code == 400
