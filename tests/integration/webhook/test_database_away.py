"""PostgreSQL is killed under the running webhook: senders get a 503 and retry, and then everything works."""

from sqlalchemy import text

from ims.core.db.engine import Database
from tests.integration.webhook.conftest import Served
from tests.support.notifications import alertmanager_alert, alertmanager_body
from tests.support.postgres import PostgresServer


def test_a_killed_database_is_a_503_and_then_nothing_is_missing(
    served: Served, source: Database, postgres: PostgresServer
) -> None:
    assert served.post(alertmanager_body(alertmanager_alert("Before")))[0] == 202
    postgres.kill()
    try:
        for _ in range(4):
            status, problem = served.post(alertmanager_body(alertmanager_alert("During")))
            assert (status, problem["type"]) == (503, "urn:ims:problem:database-away")
            assert problem["headers"]["Retry-After"] == "3"
        assert served.get("/health")[0] == 200
        assert served.get("/health/ready")[0] == 503
        assert "alerts_received_total" in served.text("/metrics")
    finally:
        postgres.start_again("fsync=off")
    for _ in range(6):
        assert served.post(alertmanager_body(alertmanager_alert("During")))[0] == 202
    assert served.get("/health/ready")[0] == 200
    with source.begin() as session:
        found = session.execute(
            text("SELECT name, notifications FROM alert JOIN episode ON alert_id = alert.id ORDER BY 1")
        )
        assert [tuple(row) for row in found] == [("Before", 1), ("During", 6)]
