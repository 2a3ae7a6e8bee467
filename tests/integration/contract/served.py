"""An installation with one of everything, served over HTTP: what the documentation's examples and schemathesis ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from ims.alerts.models import DeadLetter
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.principal import Scope
from ims.core.settings import Settings
from ims.programs.web import create_app
from ims.runs.models import RunOutcome
from ims.sources.usecases import add_source, create_source_token
from tests.support.cast import add_people, add_token
from tests.support.context import by_ims
from tests.support.history import Tale, add_log, add_policy
from tests.support.postgres import PostgresServer
from tests.support.serving import serving


@dataclass(frozen=True, slots=True)
class Installation:
    """Where it is, and tokens for it."""

    address: str
    token: str
    """Of the administrator, for everything."""
    source_token: str
    """Of the source `scripts`, which sends generic alerts."""


@contextmanager
def served(settings: Settings, database: Database, postgres: PostgresServer) -> Iterator[Installation]:
    """Serve it while inside. It has INC-1 with alert 1, run R-1 and decision D-1, and dead letter 1."""
    # Numbers come from sequences of their own, which emptying tables does not touch.
    for sequence in (
        "incident_number_seq",
        "run_number_seq",
        "decision_id_seq",
        "alert_id_seq",
        "dead_letter_id_seq",
        "api_token_id_seq",
    ):
        postgres.execute(f"ALTER SEQUENCE {sequence} RESTART", database="ims")
    now = utc_now()
    with database.begin() as session:
        add_people(session, now)
        add_policy(session, now)
        add_source(by_ims(session, now), {"name": "scripts", "kind": "generic"})
        tale = Tale(session, now - timedelta(minutes=9), "checkout", "checkout is down")
        run = tale.run(2, 8, RunOutcome.HEALED, verify=3)
        tale.refuse(12, "manual")
        add_log(session, run, [("playbook_on_start", "PLAY [Restart a service]", None)])
        body = '{"labels": {"alertname": "DiskFull"}, "status": "burning"}'
        session.add(DeadLetter(source="alertmanager", reason="wrong_status", body=body, details={}, received_at=now))
        token = add_token(session, "root", now, Scope.ADMIN)
        source_token = create_source_token(by_ims(session, now), "scripts", "examples").text
    with serving(create_app(settings, database)) as address:
        yield Installation(address, token, source_token)
