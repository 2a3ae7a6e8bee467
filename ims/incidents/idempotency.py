"""Idempotency keys: a repeated request to open an incident returns the incident that the first request opened."""

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
    """This Idempotency-Key was used with other content: use a new key for each incident."""

    status = 422


def claim_key(
    session: Session, account: UUID, key: str, new: NewIncident, incident_id: UUID, now: datetime
) -> UUID | None:
    """Claim `key` for the incident that is about to be opened; return the incident of an earlier claim, if any.

    A concurrent request with the same key waits here until the first transaction ends. Raises `KeyUsedDifferently`.
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
