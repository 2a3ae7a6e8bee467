"""The maintenance windows of the REST API."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field
from sqlalchemy.orm import Session

from ims.api.fields import Cursor, Limit
from ims.api.operations import Answer, Group
from ims.api.v1.schemas.maintenance import NewWindow, WindowList, WindowName, WindowShown, WindowState, show_window
from ims.core.errors import Conflict, NotFound, Unprocessable
from ims.core.paging import cut, name_in
from ims.core.schemas import Given
from ims.http.authentication import origin
from ims.http.resources import clock, transaction
from ims.maintenance.queries import KnownWindow, known_windows
from ims.maintenance.usecases import add_window, end_window, remove_window
from ims.policy.queries import active_policy

api: Final = Group(
    "Maintenance windows", "Times in which alerts are recorded as always, but nobody is told and nothing is healed."
)


class WindowQuery(Given):
    """Which windows."""

    state: Annotated[WindowState | None, Field(description="Only those in this state.")] = None
    limit: Limit = 50
    cursor: Cursor = None


@api.post(
    "/maintenance-windows",
    answers=WindowShown,
    status=201,
    raises=(Conflict, Unprocessable),
    example={"name": "database-upgrade", "services": ["checkout"], "seconds": 3600, "reason": "New PostgreSQL"},
)
def create(body: NewWindow) -> Answer:
    """Add a maintenance window.

    It begins now unless `from` says when. With `rrule` it recurs.
    """
    now = clock()
    with transaction() as session:
        add_window(session, body.window(now), origin(), now)
        shown = _found(session, body.name, now)
    return Answer(shown, headers={"Location": f"/api/v1/maintenance-windows/{body.name}"})


@api.get("/maintenance-windows", answers=WindowList, raises=(Unprocessable,), example_query="state=open")
def list_all(query: WindowQuery) -> WindowList:
    """List maintenance windows.

    Those of the inventory and those that were added, by name, a page at a time.
    """
    now, bound_to = clock(), [str(query.state)]
    after = name_in(query.cursor, bound_to) or ""
    with transaction() as session:
        shown = [show_window(known, now) for known in _known(session)]
    left = [one for one in shown if query.state in (None, one.state) and _key(one) > after]
    rows, following = cut(left, query.limit, _key, bound_to)
    return WindowList(items=list(rows), next=following)


@api.get("/maintenance-windows/{name}", answers=WindowShown)
def one(name: WindowName) -> WindowShown:
    """Read a maintenance window.

    What it covers, and when it is or will be open.
    """
    with transaction() as session:
        return _found(session, name, clock())


@api.post("/maintenance-windows/{name}/end", answers=WindowShown, raises=(Conflict,))
def end(name: WindowName) -> WindowShown:
    """End a maintenance window.

    Now, if it is open; one that recurs opens again next time. What still fires is decided as if it were new.
    """
    now = clock()
    with transaction() as session:
        end_window(session, name, origin(), now)
        return _found(session, name, now)


@api.delete("/maintenance-windows/{name}", status=204, raises=(Conflict,))
def remove(name: WindowName) -> None:
    """Remove a maintenance window.

    One that was added; one of the inventory is removed there.
    """
    with transaction() as session:
        remove_window(session, name, origin(), clock())


def _known(session: Session) -> list[KnownWindow]:
    active = active_policy(session)
    return known_windows(session, active.policy if active else None)


def _found(session: Session, name: str, now: datetime) -> WindowShown:
    """The window of this name; if the inventory and a command have each one, the command's. Raises `NotFound`."""
    found = next((known for known in _known(session) if known.name == name), None)
    if found is None:
        raise NotFound(f"There is no maintenance window {name}.")
    return show_window(found, now)


def _key(shown: WindowShown) -> str:
    # A blank sorts before everything that a name may hold, so this is the order of names.
    return f"{shown.name} {shown.origin}"
