"""What pages and programs are shown of maintenance windows and flapping."""

from datetime import datetime

from sqlalchemy import update

from ims.api.v1.schemas.incidents import show
from ims.core.db.engine import Database
from ims.incidents.models import Incident
from tests.integration.web.conftest import SignIn


def change(database: Database, number: int, **values: object) -> Incident:
    with database.begin() as session:
        session.execute(update(Incident).where(Incident.number == number).values(**values))
        return session.query(Incident).filter_by(number=number).one()


def test_a_marked_incident_says_that_it_is_in_maintenance(sign_in: SignIn, database: Database) -> None:
    incident = change(database, 30, maintenance="patching", attention_at=None, status="open", resolved_at=None)
    page = sign_in("charlie").get("/incidents/INC-30").text
    assert "maintenance window patching" in page
    assert show(incident).maintenance == "patching"


def test_a_flapping_incident_says_since_when(sign_in: SignIn, database: Database, now: datetime) -> None:
    incident = change(database, 30, flapping_since=now)
    assert "flapping since" in sign_in("charlie").get("/incidents/INC-30").text
    assert show(incident).flapping_since is not None


def test_incidents_are_not_marked_without_a_reason(sign_in: SignIn) -> None:
    page = sign_in("charlie").get("/incidents/INC-30").text
    assert "maintenance window" not in page
    assert "flapping" not in page
