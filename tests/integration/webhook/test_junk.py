"""What a sender of junk can fill the database with, and what it costs the sender."""

import json

from flask.testing import FlaskClient
from sqlalchemy import func, select

from ims.alerts.dead_letter_limit import MOST_EXAMPLES, MOST_ROWS
from ims.alerts.models import DeadLetter
from ims.core.db.engine import Database
from ims.sources.models import Source
from tests.integration.webhook.conftest import TOKEN
from tests.support.notifications import SOURCE, alertmanager_alert, alertmanager_body

AUTHORIZED = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def send(client: FlaskClient, *alerts: object) -> int:
    body = json.dumps(alertmanager_body(*alerts))
    return client.post("/alerts", data=body, headers=AUTHORIZED).status_code


def dead_letters(database: Database) -> list[DeadLetter]:
    with database.begin() as session:
        return list(session.scalars(select(DeadLetter).order_by(DeadLetter.id)))


def test_a_body_of_junk_leaves_a_few_examples_and_their_number(client: FlaskClient, source: Database) -> None:
    assert send(client, alertmanager_alert(), *[0] * 50_000) == 202
    kept = dead_letters(source)
    assert len(kept) == MOST_EXAMPLES
    assert sum(one.details.get("occurrences", 1) for one in kept) == 50_000


def test_junk_in_many_requests_ends_at_the_limit_and_is_counted_beyond(client: FlaskClient, source: Database) -> None:
    for _ in range(MOST_ROWS + 30):
        assert send(client, 1) == 202
    kept = dead_letters(source)
    assert len(kept) == MOST_ROWS
    assert sum(one.details.get("occurrences", 1) for one in kept) == MOST_ROWS + 30
    assert kept[-1].details["occurrences"] == 31
    assert kept[-1].details["last_received_at"] >= kept[-1].received_at.isoformat()


def test_another_reason_is_kept_though_the_limit_is_reached(client: FlaskClient, source: Database) -> None:
    for _ in range(MOST_ROWS):
        send(client, 1)
    wrong = {"status": "firing", "labels": 7}
    assert send(client, wrong, wrong, 1) == 202
    kept = dead_letters(source)
    assert [one.reason for one in kept[-2:]] == ["not_an_object", "wrong_labels"]
    assert [one.details.get("occurrences", 1) for one in kept[-2:]] == [2, 2]


def test_after_a_while_examples_are_kept_again(client: FlaskClient, source: Database) -> None:
    for _ in range(MOST_ROWS + 1):
        send(client, 1)
    with source.begin() as session:
        for one in session.scalars(select(DeadLetter)):
            one.received_at = one.received_at.replace(year=2020)
    send(client, 1)
    assert len(dead_letters(source)) == MOST_ROWS + 1


def test_what_cannot_be_read_is_charged_to_its_sender(client: FlaskClient, source: Database) -> None:
    with source.begin() as session:
        session.get_one(Source, SOURCE).rate_limit = 0.1
    answers = [client.post("/alerts", data=b"no JSON", headers=AUTHORIZED).status_code for _ in range(5)]
    assert answers[0] == 400
    assert answers[-1] == 503
    with source.begin() as session:
        assert session.scalar(select(func.count()).select_from(DeadLetter)) == 0
