"""Signing out ends the session on the server: a copy of the cookie is worth nothing afterwards."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import func, select

from ims.accounts.models import EndedSession
from ims.audit.models import AuditEntry
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.retention.removal import STEPS, take_step
from tests.integration.web.conftest import SignIn, token


def test_a_copy_of_the_cookie_does_not_survive_the_sign_out(sign_in: SignIn, app: Flask, database: Database) -> None:
    here, there = sign_in("bob"), sign_in("bob")
    cookie = here.get_cookie(app.config["SESSION_COOKIE_NAME"])
    assert cookie
    here.post("/sign-out", data=token(here))
    thief = app.test_client()
    thief.set_cookie(cookie.key, cookie.value)
    assert thief.get("/account").status_code == 302
    # Another session of the account goes on.
    assert there.get("/account").status_code == 200
    with database.begin() as session:
        query = select(AuditEntry.actor, AuditEntry.object).where(AuditEntry.action == "user.signed_out")
        assert session.execute(query).all() == [("bob", "bob")]


def test_a_session_of_an_earlier_version_has_no_id_and_is_signed_in_again(sign_in: SignIn, app: Flask) -> None:
    client = sign_in("bob")
    with client.session_transaction() as session:
        del session["id"]
    assert client.get("/account").status_code == 302


def test_ended_sessions_are_kept_as_long_as_a_session_may_last(sign_in: SignIn, database: Database) -> None:
    bob = sign_in("bob")
    bob.post("/sign-out", data=token(bob))
    (step,) = (step for step in STEPS if step.kind == "ended_sessions")
    with database.begin() as session:
        assert take_step(session, step, utc_now()) == 0
        session.execute(EndedSession.__table__.update().values(ended_at=utc_now() - timedelta(days=31)))
        assert take_step(session, step, utc_now()) == 1
        assert session.scalar(select(func.count()).select_from(EndedSession)) == 0
