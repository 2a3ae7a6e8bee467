"""The page about workers."""

from ims.core.db.engine import Database
from ims.core.queue import Job, defer, runs_queue
from tests.integration.web.conftest import SignIn
from tests.support.registered import OK_RUN, add_worker

PAGE = "/admin/workers"


def test_an_installation_without_workers_says_what_that_means(sign_in: SignIn) -> None:
    assert "There are no workers." in sign_in("alice").get(PAGE).text


def test_workers_their_modules_and_unserved_pools_are_shown(sign_in: SignIn, database: Database) -> None:
    with database.begin() as session:
        failed = {**OK_RUN, "result": "failed", "error": "KeyError"}
        add_worker(session, "anvil", "default", modules={"watch_heartbeats": OK_RUN, "remove_old": failed})
        add_worker(session, "bellows", "edge", silent=30)
        defer(session, Job.EXECUTE_RUN, queue=runs_queue("edge"), run_id="none")
    page = sign_in("alice").get(PAGE).text
    for shown in ("anvil", "bellows", "leader", "Lost", "Working", "watch_heartbeats", "Failed: KeyError"):
        assert shown in page, shown
    assert "1 job waits in pool <strong>edge</strong>, which no worker serves." in page
    with database.begin() as session:
        add_worker(session, "bellows", "edge")
    assert "which no worker serves" not in sign_in("alice").get(PAGE).text
