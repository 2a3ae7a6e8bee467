"""The rate limit of sign-in attempts, shared by all processes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.accounts.limits import MOST_OF_ADDRESS, MOST_OF_NAME, WINDOW, TooManyTries, counted, give_back, take_try
from ims.accounts.models import SignInTries
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.settings import Settings
from ims.programs.web import create_app
from ims.retention.removal import STEPS, take_step
from tests.integration.web.conftest import token

NOW = utc_now()


def is_taken(session: Session, name: str = "bob", address: str = "192.0.2.1", seconds: float = 0) -> bool:
    try:
        with session.begin_nested():
            take_try(session, counted("secret", address, name), NOW + timedelta(seconds=seconds))
    except TooManyTries:
        return False
    return True


def test_after_too_many_tries_a_name_waits_until_the_window_is_over(session: Session) -> None:
    assert [is_taken(session) for _ in range(MOST_OF_NAME + 1)] == [True] * MOST_OF_NAME + [False]
    assert [is_taken(session, "alice"), is_taken(session, address="192.0.2.2")] == [True, True]
    with pytest.raises(TooManyTries, match="Wait 101 seconds"):
        take_try(session, counted("secret", "192.0.2.1", "bob"), NOW + WINDOW - timedelta(seconds=100))
    assert is_taken(session, seconds=WINDOW.total_seconds())


def test_an_address_waits_whatever_names_it_tries_and_adds_no_more_rows(session: Session) -> None:
    taken = [is_taken(session, f"name {number}") for number in range(MOST_OF_ADDRESS + 20)]
    assert taken == [True] * MOST_OF_ADDRESS + [False] * 20
    assert len(session.scalars(select(SignInTries.key)).all()) == 1 + MOST_OF_ADDRESS


def test_addresses_of_one_network_of_ipv6_count_as_one(session: Session) -> None:
    taken = [is_taken(session, address=f"2001:db8:0:1::{number:x}") for number in range(1, MOST_OF_NAME + 2)]
    assert taken == [True] * MOST_OF_NAME + [False]
    assert is_taken(session, address="2001:db8:0:2::1")


def test_a_correct_password_resets_the_limit_of_its_name(session: Session) -> None:
    for _ in range(MOST_OF_ADDRESS + 1):
        assert is_taken(session)
        give_back(session, counted("secret", "192.0.2.1", "bob"))


def test_expired_attempts_are_removed(session: Session) -> None:
    assert is_taken(session, seconds=-7200)
    assert is_taken(session, "alice", address="192.0.2.2", seconds=7200)
    (step,) = [step for step in STEPS if step.kind == "sign_in_tries"]
    assert take_step(session, step, NOW - timedelta(days=90)) == 2
    assert len(session.scalars(select(SignInTries.key)).all()) == 2


def test_processes_share_the_limit_and_parallel_attempts_do_not_evade_it(
    settings: Settings, database: Database
) -> None:
    apps = [create_app(settings, database) for _ in range(2)]

    def guess(app: Flask) -> int:
        client = app.test_client()
        return client.post("/sign-in", data={"name": "bob", "password": "x", **token(client, "/sign-in")}).status_code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(guess, apps * 6))
    assert sorted(answers) == [401] * MOST_OF_NAME + [429] * (12 - MOST_OF_NAME)
