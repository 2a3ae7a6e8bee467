"""Reading sources."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.core.errors import NotFound
from ims.sources.models import Source


def all_sources(session: Session) -> Sequence[Source]:
    """Every source, by name."""
    return session.scalars(select(Source).order_by(Source.name)).all()


def withheld_alerts(session: Session) -> Sequence[tuple[str, int]]:
    """Every source that IMS polls, and how many alerts its last reconciliation withheld from closing."""
    wanted = select(Source.name, Source.reconciliation_withheld).where(
        Source.alertmanager_url.is_not(None), Source.disabled_at.is_(None)
    )
    return [(name, alerts) for name, alerts in session.execute(wanted)]


def source_named(session: Session, name: str, *, for_update: bool = False) -> Source:
    """A source by its name; `for_update` locks it. Raises `NotFound`."""
    # PostgreSQL rejects a text with NUL.
    source = session.get(Source, name, with_for_update=for_update or None) if "\0" not in name else None
    if source is None:
        raise NotFound(f"There is no source {name}.")
    return source
