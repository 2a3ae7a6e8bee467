"""What was rejected can be looked through, tried again, and dropped."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from ims.alerts.dead_letters import (
    STILL_REJECTED,
    NoSuchDeadLetter,
    Wanted,
    drop,
    get_dead_letter,
    list_dead_letters,
    rejected_ids,
    retry,
)
from ims.alerts.ingest import ingest
from ims.alerts.models import Alert, DeadLetter
from ims.alerts.notifications import BODY_LENGTH, AlertNotification, Rejected, RejectReason, read_alert, reject
from ims.alerts.parsers import alertmanager
from ims.alerts.parsers.formats import Format
from ims.cli.main import main
from ims.core.db.engine import Database
from ims.core.errors import NotFound
from ims.policy.queries import NO_POLICY
from ims.sources.models import Source
from tests.support.context import ALICE, by
from tests.support.notifications import NOW, SOURCE, add_source, alertmanager_alert, at

BROKEN = {"status": "on fire", "labels": {"alertname": "Broken"}}


def put_aside(session: Session, *alerts: object, reason: RejectReason = RejectReason.WRONG_STATUS) -> list[int]:
    """Alerts that were rejected once."""
    if session.get(Source, SOURCE) is None:
        add_source(session)
    rejected = [reject(alert, SOURCE, reason, "It was wrong.", place) for place, alert in enumerate(alerts)]
    ingest(session, [], rejected, NO_POLICY, NOW)
    return sorted(session.scalars(select(DeadLetter.id)))[-len(alerts) :]


def kept(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(DeadLetter)) or 0


def test_what_can_be_read_today_is_taken_and_kept_no_longer(session: Session) -> None:
    [id_] = put_aside(session, alertmanager_alert("Repaired"))
    retried = retry(by(session, ALICE, at(60)), id_)
    assert (retried.result, retried.is_taken) == ("opened", True)
    assert kept(session) == 0
    assert session.scalars(select(Alert.name)).all() == ["Repaired"]
    jobs = session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'decide'"))
    assert jobs == 1
    with pytest.raises(NoSuchDeadLetter):
        retry(by(session, ALICE, at(61)), id_)


def test_what_is_still_wrong_stays_with_today_s_reason(session: Session) -> None:
    [id_] = put_aside(session, {"status": "firing", "labels": "none"})
    retried = retry(by(session, ALICE, at(60)), id_)
    assert (retried.result, retried.is_taken) == (STILL_REJECTED, False)
    assert "labels" in retried.message
    one = get_dead_letter(session, id_)
    assert (one.reason, one.details["place"]) == ("wrong_labels", 0)


def test_what_was_cut_cannot_be_tried_again(session: Session) -> None:
    long = alertmanager_alert("Long", more="x" * (BODY_LENGTH + 1))
    [id_] = put_aside(session, long)
    assert "truncated" in retry(by(session, ALICE, at(60)), id_).message
    assert kept(session) == 1


def test_a_fixed_reader_takes_what_the_old_one_could_not(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    [id_] = put_aside(session, BROKEN)
    assert retry(by(session, ALICE, at(60)), id_).result == STILL_REJECTED

    def fixed(given: dict[str, object], source: str, now: object) -> AlertNotification | Rejected:
        return read_alert({**given, "status": "firing"}, source, NOW)

    monkeypatch.setattr("ims.alerts.parsers.formats.FORMATS", {"alertmanager": Format(alertmanager.parse, fixed)})
    assert retry(by(session, ALICE, at(61)), id_).result == "opened"


def test_they_are_found_by_source_and_reason(session: Session) -> None:
    first = put_aside(session, BROKEN, BROKEN)
    second = put_aside(session, [], reason=RejectReason.NOT_AN_OBJECT)
    assert rejected_ids(session, Wanted()) == [*first, *second]
    assert rejected_ids(session, Wanted(reason="not_an_object")) == second
    assert rejected_ids(session, Wanted(source="another")) == []
    assert [one.id for one in list_dead_letters(session, Wanted(), 2)] == [second[0], first[1]]
    assert [one.id for one in list_dead_letters(session, Wanted(), 9, before=first[1])] == [first[0]]
    assert drop(by(session, ALICE, NOW), [first[0], 4711]) == 1
    for unknown in (first[0], 0, -1, 2**70):
        with pytest.raises(NotFound):
            get_dead_letter(session, unknown)
        with pytest.raises(NoSuchDeadLetter):
            retry(by(session, ALICE, NOW), unknown)
        with pytest.raises(NoSuchDeadLetter):
            drop(by(session, ALICE, NOW), [unknown])
    assert drop(by(session, ALICE, NOW), []) == 0


Ims = Callable[..., tuple[int, str]]


@pytest.fixture
def ims(terminal: Database, capsys: pytest.CaptureFixture[str]) -> Ims:
    def run(*arguments: str) -> tuple[int, str]:
        return main(["dead-letter", *arguments]), capsys.readouterr().out.strip()

    return run


def test_the_commands_list_show_retry_and_drop(ims: Ims, database: Database) -> None:
    assert ims("list") == (0, "No dead letters.")
    with database.begin() as session:
        good, bad = put_aside(session, alertmanager_alert("Good"), BROKEN)
    code, table = ims("list")
    assert (code, len(table.splitlines())) == (0, 3)
    code, shown = ims("show", str(bad), "--json")
    assert json.loads(json.loads(shown)["body"]) == BROKEN
    code, output = ims("retry", "--all", "--json")
    assert code == 1
    assert {one["id"]: one["result"] for one in json.loads(output)} == {good: "opened", bad: "still rejected"}
    assert ims("retry", str(bad))[0] == 1
    assert ims("drop", str(bad)) == (0, "1 dropped")
    assert ims("retry", "--all") == (0, "Nothing to retry.")


@pytest.mark.parametrize("arguments", [("drop",), ("retry",), ("drop", "1", "--all")])
def test_nothing_is_dropped_or_retried_that_was_not_named(ims: Ims, arguments: tuple[str, ...]) -> None:
    assert ims(*arguments)[0] == 2
