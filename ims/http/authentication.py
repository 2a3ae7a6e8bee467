"""Who is asking, and whether they may.

People come with a session's cookie, programs with a bearer token. Nothing is open unless it says so: a view without a
mark needs an account to read and a responder to change something. `public` and `allow` are the marks; a token needs the
scope for it, too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from flask import Flask, current_app, g, request, session

from ims.accounts.passwords import hash_token
from ims.accounts.queries import account_by_id, principal_of_token
from ims.core.context import Context, Origin, ScopeTooNarrow
from ims.core.errors import Forbidden, Unauthenticated
from ims.core.net import client_address
from ims.core.principal import Account, Principal, Role, scope_for
from ims.http.requests import request_id
from ims.http.resources import clock, settings, transaction

View = TypeVar("View", bound=Callable[..., Any])

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


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


def principal() -> Principal | None:
    """Who asks, if anybody said so."""
    found: Principal | None = g.get("principal")
    return found


def signed_in() -> Principal:
    """Who asks. Raises `Unauthenticated`."""
    found = principal()
    if found is None:
        raise Unauthenticated
    return found


@contextmanager
def use_case(principal: Principal | None = None) -> Iterator[Context]:
    """What a use case is called with, in one transaction: for whoever asks, unless `principal` says for whom.

    Raises `Unauthenticated` and `DatabaseAway`.
    """
    asks = principal or signed_in()
    with transaction() as db:
        yield Context(db, asks, Origin(client_host(), request_id()), clock())


def client_host() -> str:
    """The address the request came from; only configured proxies are believed about it."""
    forwarded = request.headers.getlist("X-Forwarded-For")
    address = client_address(request.remote_addr, forwarded, settings().trusted_networks)
    return str(address or "unknown")


def may_change() -> bool:
    """Whether the page should offer changes to whoever asks."""
    found = principal()
    return found is not None and found.has_role(Role.RESPONDER)


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
    """Identify who asks and refuse what they may not do, before the view is called."""
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or request.endpoint == "static" or getattr(view, "is_public", False):
        return
    found = identify()
    if found is None:
        raise Unauthenticated
    g.principal = found
    is_safe = request.method in _SAFE_METHODS
    least = getattr(view, "least_role", Role.VIEWER if is_safe else Role.RESPONDER)
    if not found.has_role(least):
        raise Forbidden
    if not found.has_scope(scope_for(least, is_safe=is_safe)):
        raise ScopeTooNarrow


def identify() -> Principal | None:
    """Who asks, by a token if one was sent and else by the session's cookie. Raises `DatabaseAway`."""
    given = request.headers.get("Authorization")
    if given is not None:
        return _by_token(given)
    account = _by_session()
    return Principal.of_account(account) if account else None


def _by_token(authorization: str) -> Principal | None:
    """Whom a bearer token acts for. A wrong one is nobody, whatever cookie came with it."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    with transaction() as db:
        return principal_of_token(db, hash_token(token.strip()), clock())


def _by_session() -> Account | None:
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
