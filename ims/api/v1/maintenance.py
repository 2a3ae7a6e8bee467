"""The maintenance windows of the REST API."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field
from sqlalchemy.orm import Session

from ims.api.listing import PageQuery
from ims.api.operations import Answer, Group
from ims.api.v1.schemas.maintenance import NewWindow, WindowList, WindowName, WindowResponse, show_window
from ims.core.errors import Conflict, Unprocessable
from ims.http.authentication import use_case
from ims.http.resources import clock, transaction
from ims.maintenance.queries import all_windows, windows_named
from ims.maintenance.state import WindowState
from ims.maintenance.usecases import add_window, end_window, remove_window

api: Final = Group(
    "Maintenance windows", "Times in which alerts are recorded as always, but nobody is told and nothing is healed."
)


class WindowQuery(PageQuery):
    """Which windows."""

    state: Annotated[WindowState | None, Field(description="Only those in this state.")] = None


@api.post(
    "/maintenance-windows",
    answers=WindowResponse,
    status=201,
    raises=(Conflict, Unprocessable),
    example={"name": "database-upgrade", "services": ["checkout"], "seconds": 3600, "reason": "New PostgreSQL"},
)
def create(body: NewWindow) -> Answer:
    """Add a maintenance window.

    It begins now unless `from` says when. With `rrule` it recurs.
    """
    with use_case() as context:
        add_window(context, body.window(context.now))
        shown = _shown(context.session, body.name, context.now)
    return Answer(shown, headers={"Location": f"/api/v1/maintenance-windows/{body.name}"})


@api.get("/maintenance-windows", answers=WindowList, raises=(Unprocessable,), example_query="state=open")
def list_all(query: WindowQuery) -> WindowList:
    """List maintenance windows.

    Those of the inventory and those that were added, by name, a page at a time.
    """
    now, after = clock(), query.after
    with transaction() as session:
        shown = [show_window(known, now) for known in all_windows(session)]
    left = [one for one in shown if query.state in (None, one.state) and _key(one) > after]
    return query.page(WindowList, left, _key, lambda one: one)


@api.get("/maintenance-windows/{name}", answers=WindowResponse)
def one(name: WindowName) -> WindowResponse:
    """Read a maintenance window.

    What it covers, and when it is or will be open.
    """
    with transaction() as session:
        return _shown(session, name, clock())


@api.post("/maintenance-windows/{name}/end", answers=WindowResponse, raises=(Conflict,))
def end(name: WindowName) -> WindowResponse:
    """End a maintenance window.

    Now, if it is open; one that recurs opens again next time. What still fires is decided as if it were new.
    """
    with use_case() as context:
        end_window(context, name)
        return _shown(context.session, name, context.now)


@api.delete("/maintenance-windows/{name}", status=204, raises=(Conflict,))
def remove(name: WindowName) -> None:
    """Remove a maintenance window.

    One that was added; one of the inventory is removed there.
    """
    with use_case() as context:
        remove_window(context, name)


def _shown(session: Session, name: str, now: datetime) -> WindowResponse:
    """The window of this name; if the inventory and a command have each one, the command's. Raises `NoSuchWindow`."""
    return show_window(windows_named(session, name)[0], now)


def _key(shown: WindowResponse) -> str:
    # A blank sorts before everything that a name may hold, so this is the order of names.
    return f"{shown.name} {shown.origin}"
