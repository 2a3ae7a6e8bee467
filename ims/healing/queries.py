"""Reading what healing decided."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.healing.models import Refusal


def refusals_of(session: Session, incident_ids: Iterable[UUID]) -> dict[UUID, list[Refusal]]:
    """What guards refused for these incidents, in order."""
    found: dict[UUID, list[Refusal]] = defaultdict(list)
    query = select(Refusal).where(Refusal.incident_id.in_(list(incident_ids))).order_by(Refusal.first_at)
    for refusal in session.scalars(query):
        found[refusal.incident_id].append(refusal)
    return found
