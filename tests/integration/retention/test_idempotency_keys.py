"""Idempotency keys are kept for a day, and then may be used again."""

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.accounts.models import UserAccount
from ims.core.clock import utc_now
from ims.incidents.models import IdempotencyKey
from ims.retention.removal import STEPS, take_step
from tests.support.cast import add_people


def test_keys_of_more_than_a_day_go_and_the_others_stay(session: Session) -> None:
    now = utc_now()
    add_people(session, now)
    account = session.scalars(select(UserAccount.id).where(UserAccount.name == "bob")).one()
    ages = {"old": timedelta(hours=25), "young": timedelta(hours=23)}
    session.add_all(
        IdempotencyKey(account=account, key=key, request=b"x", incident_id=uuid4(), created_at=now - age)
        for key, age in ages.items()
    )
    session.flush()
    (step,) = [step for step in STEPS if step.kind == "idempotency_keys"]
    assert take_step(session, step, now - timedelta(days=90)) == 1
    assert session.scalars(select(IdempotencyKey.key)).all() == ["young"]
