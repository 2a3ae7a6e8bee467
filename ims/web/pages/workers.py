"""Page for administrators: who takes jobs, who leads, and what their engine modules last did."""

from datetime import datetime

from flask import Blueprint, render_template

from ims.core.principal import Role
from ims.http.authentication import allow
from ims.http.resources import transaction
from ims.workers.queries import list_workers, unserved_pools

workers = Blueprint("workers", __name__, url_prefix="/admin/workers")


@workers.get("")
@allow(Role.ADMIN)
def index() -> str:
    """All workers: those that live, and those that were lost lately."""
    with transaction() as session:
        known = list_workers(session)
        waiting = unserved_pools(session, known)
    known.sort(key=lambda one: (one.row.host, one.row.started_at))
    return render_template("workers/list.html", workers=known, waiting=waiting, moment=datetime.fromisoformat)
