"""Page for administrators: the workers, which one is the leader, and the last run of each engine module."""

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
    """Live workers, and workers that were lost within the last hour."""
    with transaction() as session:
        known = list_workers(session)
        waiting = unserved_pools(session, known)
    known.sort(key=lambda one: (one.row.host, one.row.started_at))
    return render_template("workers/list.html", workers=known, waiting=waiting, moment=datetime.fromisoformat)
