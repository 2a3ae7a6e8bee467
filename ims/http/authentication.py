"""Authentication and authorisation of requests.

People authenticate with a session cookie, programs with a bearer token. Views are closed by default: without a mark, a
view requires an account to read and the role responder to change something. `public` and `allow` are the marks; a token
also needs the scope.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from flask import Flask, current_app, g, request, session

from ims.accounts.passwords import hash_token
from ims.accounts.queries import account_of_session, principal_of_token
from ims.core.context import Context, Origin, ScopeTooNarrow
from ims.core.db.engine import database_now
from ims.core.errors import Forbidden, Unauthenticated
from ims.core.net import client_address
from ims.core.principal import Account, Principal, Role, scope_for
from ims.http.requests import request_id
from ims.http.resources import clock, settings, transaction

View = TypeVar("View", bound=Callable[..., Any])

_CLOCK_TOLERANCE = timedelta(minutes=1)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class _Pass:
    """The content of a session cookie: its own id, the account, its session generation and the time of the sign-in."""

    session_id: UUID
    account_id: UUID
    generation: int
    signed_in_at: datetime


def public(view: View) -> View:
    """Mark a view that answers without a signed-in account."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def allow(role: Role) -> Callable[[View], View]:
    """Mark a view with the lowest role that may use it, whatever the method."""

    def mark(view: View) -> View:
        view.least_role = role  # type: ignore[attr-defined]
        return view

    return mark


def principal() -> Principal | None:
    """The principal of this request; None if it is not authenticated."""
    found: Principal | None = g.get("principal")
    return found


def signed_in() -> Principal:
    """The principal of this request. Raises `Unauthenticated`."""
    found = principal()
    if found is None:
        raise Unauthenticated
    return found


@contextmanager
def use_case(principal: Principal | None = None) -> Iterator[Context]:
    """The context of a use case in one transaction: for the request's principal, unless `principal` is given.

    Raises `Unauthenticated` and `DatabaseAway`.
    """
    acting = principal or signed_in()
    with transaction() as db:
        yield Context(db, acting, Origin(client_host(), request_id()), database_now(db))


def client_host() -> str:
    """The address the request came from; X-Forwarded-For counts only if a trusted proxy sent it."""
    forwarded = request.headers.getlist("X-Forwarded-For")
    address = client_address(request.remote_addr, forwarded, settings().trusted_networks)
    return str(address or "unknown")


def may_change() -> bool:
    """Whether the page should offer changes to the principal."""
    found = principal()
    return found is not None and found.has_role(Role.RESPONDER)


def begin_session(account: Account) -> None:
    """Sign in with a new session that shares nothing with the previous one, not even the CSRF token."""
    session.clear()
    session.permanent = True
    session["id"] = str(uuid4())
    session["account"] = str(account.id)
    session["generation"] = account.session_generation
    session["at"] = clock().isoformat()


def session_id() -> UUID | None:
    """The id of this request's session; None without one."""
    claim = _read_pass()
    return None if claim is None else claim.session_id


def forget_session() -> None:
    """Remove the session from the browser's cookie. A copy of the cookie stays valid until its session is ended."""
    session.clear()


def install(app: Flask) -> None:
    """Check every request of `app` before its view is called."""
    app.before_request(_check)


def _check() -> None:
    """Authenticate the request and check role and scope.

    Raises `Unauthenticated`, `Forbidden`, `ScopeTooNarrow` and `DatabaseAway`.
    """
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
    """The principal by the bearer token, if one was sent, else by the session cookie. Raises `DatabaseAway`."""
    given = request.headers.get("Authorization")
    if given is not None:
        return _by_token(given)
    account = _by_session()
    return Principal.of_account(account) if account else None


def _by_token(authorization: str) -> Principal | None:
    """The principal of a bearer token. With an invalid token the session cookie is not considered."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    with transaction() as db:
        return principal_of_token(db, hash_token(token.strip()), clock())


def _by_session() -> Account | None:
    """The account of the session cookie; None if it is disabled, was signed out everywhere, or the session expired."""
    claim = _read_pass()
    if claim is None:
        return None
    # A time in the future was given by a clock that was wrong: such a session would last until then.
    if not -_CLOCK_TOLERANCE <= clock() - claim.signed_in_at <= timedelta(hours=settings().session_hours):
        return None
    with transaction() as db:
        account = account_of_session(db, claim.account_id, claim.session_id)
    if account is None or account.session_generation != claim.generation:
        return None
    return account


def _read_pass() -> _Pass | None:
    try:
        return _Pass(
            UUID(session["id"]),
            UUID(session["account"]),
            int(session["generation"]),
            datetime.fromisoformat(session["at"]),
        )
    except (KeyError, ValueError, TypeError):
        # No session, or one written by an earlier version.
        return None
