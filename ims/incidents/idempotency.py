"""Opening an incident once, however often a program asks: it names its request, and a repeat finds the first one."""

import hashlib
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.core.errors import IMSError
from ims.incidents.inputs import NewIncident
from ims.incidents.models import IdempotencyKey


class KeyUsedDifferently(IMSError):
    """This Idempotency-Key was used to open another incident: use a new one for each incident."""

    status = 422


def claim_key(
    session: Session, account: UUID, key: str, new: NewIncident, incident_id: UUID, now: datetime
) -> UUID | None:
    """Take `key` for the incident that is about to be opened; if it was taken, give the incident it was taken for.

    Somebody who sends the same at the same time waits here until it is decided. Raises `KeyUsedDifferently`.
    """
    request = hashlib.sha256(new.model_dump_json().encode()).digest()
    values = {"account": account, "key": key, "request": request, "incident_id": incident_id, "created_at": now}
    statement = insert(IdempotencyKey).values(**values).on_conflict_do_nothing().returning(IdempotencyKey.key)
    if session.execute(statement).one_or_none() is not None:
        return None
    known = session.scalars(
        select(IdempotencyKey).where(IdempotencyKey.account == account, IdempotencyKey.key == key)
    ).one()
    if known.request != request:
        raise KeyUsedDifferently
    return known.incident_id
