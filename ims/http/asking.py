"""Who is asking, and whether they may.

Nothing is open unless it says so: a view without a mark needs a signed-in account to read and a responder to change
something. `public` and `allow` are the marks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from flask import Flask, current_app, g, request, session

from ims.accounts.models import Role
from ims.accounts.queries import Account, account_by_id
from ims.errors import Forbidden, Unauthenticated
from ims.http.resources import clock, settings, transaction

View = TypeVar("View", bound=Callable[..., Any])

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_ORDER = (Role.VIEWER, Role.RESPONDER, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class _Pass:
    """What a session cookie says: an account, its generation then, and when it signed in."""

    account_id: UUID
    generation: int
    signed_in_at: datetime


def public(view: View) -> View:
    """Mark a view that answers without a signed-in account."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def allow(role: Role) -> Callable[[View], View]:
    """Mark a view with the least role that may use it, whatever the method."""

    def mark(view: View) -> View:
        view.least_role = role  # type: ignore[attr-defined]
        return view

    return mark


def asker() -> Account | None:
    """The signed-in account of this request, if any."""
    account: Account | None = g.get("account")
    return account


def signed_in() -> Account:
    """The signed-in account. Raises `Unauthenticated`."""
    account = asker()
    if account is None:
        raise Unauthenticated
    return account


def may_change() -> bool:
    """Whether the page should offer changes to this account."""
    account = asker()
    return account is not None and has_role(account, Role.RESPONDER)


def has_role(account: Account, least: Role) -> bool:
    """Whether the account has `least` or a role that includes it."""
    return _ORDER.index(account.role) >= _ORDER.index(least)


def begin_session(account: Account) -> None:
    """Sign in: a new session that shares nothing with the one before it, CSRF token included."""
    session.clear()
    session.permanent = True
    session["account"] = str(account.id)
    session["generation"] = account.session_generation
    session["at"] = clock().isoformat()


def end_session() -> None:
    """Sign out on this device."""
    session.clear()


def install(app: Flask) -> None:
    """Check every request of `app`."""
    app.before_request(_check)


def _check() -> None:
    """Identify the account and refuse what it may not do, before the view is called."""
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or request.endpoint == "static" or getattr(view, "is_public", False):
        return
    account = _identify()
    if account is None:
        raise Unauthenticated
    g.account = account
    default = Role.VIEWER if request.method in _SAFE_METHODS else Role.RESPONDER
    if not has_role(account, getattr(view, "least_role", default)):
        raise Forbidden


def identify_softly() -> Account | None:
    """The account, for a public page that only greets differently."""
    return _identify()


def _identify() -> Account | None:
    """The account of the session cookie, unless it is disabled, signed out everywhere, or its time is over."""
    claim = _read_pass()
    if claim is None or clock() - claim.signed_in_at > timedelta(hours=settings().session_hours):
        return None
    with transaction() as db:
        account = account_by_id(db, claim.account_id)
    if account is None or account.session_generation != claim.generation:
        return None
    return account


def _read_pass() -> _Pass | None:
    try:
        return _Pass(UUID(session["account"]), int(session["generation"]), datetime.fromisoformat(session["at"]))
    except (KeyError, ValueError, TypeError):
        # No session, or one written by an earlier version.
        return None
