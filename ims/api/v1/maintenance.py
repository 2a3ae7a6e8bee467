"""REST API: maintenance windows."""

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
    "Maintenance windows",
    "During a maintenance window alerts are recorded, but IMS does not heal and does not notify anyone.",
)


class WindowQuery(PageQuery):
    """Filters of the list of maintenance windows."""

    state: Annotated[WindowState | None, Field(description="Only windows in this state.")] = None


@api.post(
    "/maintenance-windows",
    answers=WindowResponse,
    status=201,
    raises=(Conflict, Unprocessable),
    example={"name": "database-upgrade", "services": ["checkout"], "seconds": 3600, "reason": "New PostgreSQL"},
)
def create(body: NewWindow) -> Answer:
    """Add a maintenance window.

    It starts now unless `from` is given. With `rrule` it recurs.
    """
    with use_case() as context:
        add_window(context, body.window(context.now))
        shown = _shown(context.session, body.name, context.now)
    return Answer(shown, headers={"Location": f"/api/v1/maintenance-windows/{body.name}"})


@api.get("/maintenance-windows", answers=WindowList, raises=(Unprocessable,), example_query="state=open")
def list_all(query: WindowQuery) -> WindowList:
    """List maintenance windows.

    Windows of the inventory and windows added by API or command, by name, paginated.
    """
    now, after = clock(), query.after
    with transaction() as session:
        shown = [show_window(known, now) for known in all_windows(session)]
    left = [one for one in shown if query.state in (None, one.state) and _key(one) > after]
    return query.page(WindowList, left, _key, lambda one: one)


@api.get("/maintenance-windows/{name}", answers=WindowResponse)
def one(name: WindowName) -> WindowResponse:
    """Get a maintenance window.

    Includes what it covers, and when it is open or opens next.
    """
    with transaction() as session:
        return _shown(session, name, clock())


@api.post("/maintenance-windows/{name}/end", answers=WindowResponse, raises=(Conflict,))
def end(name: WindowName) -> WindowResponse:
    """End a maintenance window.

    Ends an open window now. A recurring window opens again at its next time. Alerts that still fire are decided as if
    they were new.
    """
    with use_case() as context:
        end_window(context, name)
        return _shown(context.session, name, context.now)


@api.delete("/maintenance-windows/{name}", status=204, raises=(Conflict,))
def remove(name: WindowName) -> None:
    """Remove a maintenance window.

    Only windows added by API or command. To remove a window of the inventory, edit the inventory.
    """
    with use_case() as context:
        remove_window(context, name)


def _shown(session: Session, name: str, now: datetime) -> WindowResponse:
    """The window of this name; an added one takes precedence over one of the inventory. Raises `NoSuchWindow`."""
    return show_window(windows_named(session, name)[0], now)


def _key(shown: WindowResponse) -> str:
    # A space sorts before every character allowed in a name, so this is the order of names.
    return f"{shown.name} {shown.origin}"
