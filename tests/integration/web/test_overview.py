"""The overview's panels: how the services are, what is being healed, the last 24 hours."""

import re
from datetime import datetime, timedelta

from sqlalchemy import event, select, text, update

from ims.core.db.engine import Database
from ims.incidents.models import Incident
from ims.maintenance.usecases import add_window
from ims.policy.models import PolicySnapshot
from ims.policy.windows import MaintenanceWindow
from ims.reports.overview import MOST_IN_A_LANE, MOST_LANES, MOST_RECENT, draw_lanes, read_overview
from ims.reports.service_status import ServiceStatus, read_service_statuses
from ims.runs.models import RunStatus, VerificationStatus
from ims.sources.models import Source
from tests.integration.web.conftest import SignIn, storm
from tests.support.context import ALICE, by
from tests.support.history import Tale
from tests.support.shop import newest_run

LIVE = {"X-IMS-Live": "1"}


def conditions(database: Database, now: datetime) -> dict[str, ServiceStatus]:
    with database.begin() as session:
        return {one.name: one.status for one in read_service_statuses(session, now)}


def test_each_service_says_how_it_is(database: Database, now: datetime) -> None:
    assert conditions(database, now) == {
        "checkout": "firing", "ims-web": "healing", "mailer": "firing", "search": "firing"
    }  # fmt: skip
    with database.begin() as session:
        window = {"name": "nightly", "services": ("mailer",), "from": now, "to": now + timedelta(hours=1)}
        add_window(by(session, ALICE, now), MaintenanceWindow.model_validate(window))
        tale = session.query(Incident).filter_by(service="checkout", status="open").one()
        session.execute(
            text("UPDATE episode SET closed_at = :now WHERE incident_id = :id"), {"now": now, "id": tale.id}
        )
        newest_run(session, "ims-web").status = RunStatus.FAILED
    assert conditions(database, now) == {
        "checkout": "healthy", "ims-web": "firing", "mailer": "maintenance", "search": "firing"
    }  # fmt: skip


def test_without_a_sender_the_state_of_a_service_is_unknown(database: Database, now: datetime) -> None:
    with database.begin() as session:
        session.execute(text("UPDATE episode SET closed_at = :now WHERE closed_at IS NULL"), {"now": now})
        session.execute(update(Source).values(stale_since=now))
    assert conditions(database, now)["mailer"] == "unknown"
    with database.begin() as session:
        session.execute(update(Source).values(stale_since=None))
    assert conditions(database, now)["mailer"] == "healthy"


def test_the_page_shows_services_runs_and_lanes(sign_in: SignIn) -> None:
    page = sign_in("charlie").get("/").text
    chip = re.search(r'<a class="service firing" href="([^"]+)"[^>]*>(.*?)</a>', page, re.DOTALL)
    assert chip
    assert chip[1].replace("&amp;", "&") == "/incidents?service=checkout&status=unresolved"
    assert "firing · 1 open" in chip[2]
    assert "restart-a-dead-service → ims-web" in page
    assert '<progress max="4" value="2"' in page
    assert "task 2 of 4: restart" in page
    lanes = re.findall(r'<th scope="row"><a href="([^"]+)">([^<]+)</a>', page)
    assert lanes == [(f"/incidents?service={name}", name) for name in ("checkout", "ims-web", "mailer", "search")]
    assert "<title>INC-25 search is down: healed in 1:55</title>" in page


def test_what_moves_makes_a_new_page_and_what_does_not_is_not_sent(
    sign_in: SignIn, database: Database, now: datetime
) -> None:
    with database.begin() as session:
        # What is open grows with time: nothing of it here.
        session.execute(text("UPDATE incident SET status = 'resolved', resolved_at = :now WHERE status <> 'resolved'"),
                        {"now": now})  # fmt: skip
    bob = sign_in("bob")
    tags = [bob.get("/", headers=LIVE).headers["ETag"] for _ in range(2)]
    with database.begin() as session:
        run = newest_run(session, "ims-web")
        run.status, run.verification = RunStatus.SUCCEEDED, VerificationStatus.PENDING
    after = bob.get("/", headers={**LIVE, "If-None-Match": tags[1]})
    assert after.status_code == 200
    assert "all tasks done; verifying that ims-web is healthy" in after.text


def test_any_change_of_the_last_day_is_seen_although_no_row_of_it_is_read(database: Database, now: datetime) -> None:
    storm(database, now, ["checkout"], MOST_IN_A_LANE + 10)

    def state() -> list[object]:
        with database.begin() as session:
            return read_overview(session, now).state

    before = state()
    assert state() == before
    with database.begin() as session:
        newest_first = select(Incident).order_by(Incident.opened_at.desc())
        oldest = session.scalars(newest_first.offset(MOST_IN_A_LANE + 5).limit(1)).one()
        oldest.version += 1
    changed = state()
    assert changed != before
    with database.begin() as session:
        Tale(session, now, "checkout", "One more")
    assert state() not in (before, changed)


def test_the_lanes_draw_the_newest_of_each_service_and_count_all(database: Database, now: datetime) -> None:
    storm(database, now, ["checkout"], MOST_IN_A_LANE + 10)
    with database.begin() as session:
        newest = session.scalars(
            select(Incident.number).where(Incident.service == "checkout").order_by(Incident.opened_at.desc())
        ).all()
        lanes = draw_lanes(session, read_overview(session, now).recent, now)
    (lane,) = (lane for lane in lanes.lanes if lane.service == "checkout")
    assert sorted(one.number for one in lane.drawn) == sorted(newest[:MOST_IN_A_LANE])
    assert lane.incidents > MOST_IN_A_LANE
    assert {number for spot in lane.lane.spots for number in spot.incidents} == set(range(MOST_IN_A_LANE))


def test_a_storm_makes_no_large_page(sign_in: SignIn, database: Database, now: datetime) -> None:
    storm(database, now, [f"service-{number:03}" for number in range(300)], 6_000)
    storm(database, now, ["checkout"], 4_000)
    with database.begin() as session:
        snapshot = session.query(PolicySnapshot).one()
        known = snapshot.policy["services"]
        services = {f"service-{n:03}": {**known["checkout"], "name": f"service-{n:03}"} for n in range(300)}
        # A new activation: the present one never changes, so it is kept in memory.
        session.execute(update(PolicySnapshot).values(policy={**snapshot.policy, "services": {**known, **services}}))
        session.execute(text("INSERT INTO policy_activation (digest, activated_at, actor)"
                             " SELECT digest, :now, 'alice' FROM policy_activation"), {"now": now})  # fmt: skip
    bob = sign_in("bob")
    page = bob.get("/")
    assets = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
    assert len(page.data) + sum(len(bob.get(path, buffered=True).data) for path in assets) < 150_000
    assert "256 more services" in page.text
    assert "Only the newest incidents are drawn" in page.text
    assert "is down &lt;&amp;&gt;" in page.text
    with database.begin() as session:
        overview = read_overview(session, now)
        lanes = draw_lanes(session, overview.recent, now)
    assert MOST_RECENT <= sum(one.incidents for one in overview.recent) <= 2 * MOST_RECENT
    assert len(lanes.lanes) == MOST_LANES
    assert max(len(lane.drawn) for lane in lanes.lanes) == MOST_IN_A_LANE


def test_the_lanes_read_indexes_only(database: Database, now: datetime) -> None:
    """However many incidents there are: each query about the last 24 hours is bounded by an index."""
    storm(database, now - timedelta(days=3), ["checkout"], 3_000)
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
        if "FROM incident" in statement and "LIMIT" in statement:
            asked.append((statement, parameters))

    with database.begin() as session:
        connection = session.connection()
        connection.execute(text("UPDATE incident SET status = 'resolved', resolved_at = opened_at + interval '1 min'"
                                " WHERE opened_at < :then"), {"then": now - timedelta(days=2)})  # fmt: skip
        event.listen(connection, "before_cursor_execute", note)
        read_overview(session, now)
        event.remove(connection, "before_cursor_execute", note)
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plans = ["\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}", values))
                 for sql, values in asked]  # fmt: skip
    # Which of them the planner takes depends on what it last counted; each bounds what is read.
    bounding = {f"ix_incident_{name}" for name in ("opened_at", "resolved_at", "unresolved", "service")}
    read = [re.findall(r"(?:using|on) (ix_incident_\w+)", plan) for plan in plans]
    assert sorted(map(len, read)) == [1, 3]
    assert {index for indexes in read for index in indexes} <= bounding
    assert not any("Seq Scan on incident" in plan for plan in plans)


def test_a_quiet_day_without_services_says_what_to_do(sign_in: SignIn, database: Database, now: datetime) -> None:
    with database.begin() as session:
        session.execute(text("DELETE FROM policy_activation"))
        session.execute(text("UPDATE run SET status = 'failed' WHERE status = 'running'"))
        session.execute(text("UPDATE incident SET opened_at = opened_at - interval '3 days', status = 'resolved',"
                             " resolved_at = opened_at - interval '2 days'"))  # fmt: skip
    page = sign_in("bob").get("/").text
    for shown in (
        "There are no services yet.",
        "ims admin policy load",
        "No runs are active.",
        "No incidents in the last 24 hours",
        "There are no unresolved incidents",
    ):
        assert shown in page


def test_what_belongs_to_no_service_has_a_lane_too(sign_in: SignIn, database: Database, now: datetime) -> None:
    with database.begin() as session:
        tale = Tale(session, now - timedelta(hours=1), "search", "The coffee is cold")
        tale.set(service=None)
    assert '<span class="muted">no service</span>' in sign_in("bob").get("/").text
