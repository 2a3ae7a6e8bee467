"""Pages: sign in, sign out, the theme of the pages."""

import time

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ims.accounts.actions import nobodys_hash, sign_in
from ims.accounts.limits import FailureLimit
from ims.accounts.models import Role
from ims.accounts.people.actions import end_sessions
from ims.http.asking import allow, begin_session, client_host, end_session, identify, origin, public, signed_in
from ims.http.requests import request_id
from ims.http.resources import clock, transaction
from ims.log import logger

accounts = Blueprint("accounts", __name__)
log = logger(__name__)

_LIMITS = "ims.sign_in_limits"
THEMES = ("light", "dark")
_YEAR_SECONDS = 365 * 24 * 3600
_LONGEST = 256


def install_limits(extensions: dict[str, object]) -> None:
    """Limits of one application: a name from one address 5 failures in 5 minutes, an address 50."""
    nobodys_hash()
    extensions[_LIMITS] = (FailureLimit(5, 300), FailureLimit(50, 300))


@accounts.get("/sign-in")
@public
def sign_in_page() -> Response | str:
    """The form; somebody who is signed in goes on to where they wanted to."""
    if identify():
        return redirect(_next_page())
    return render_template("accounts/sign_in.html", next=request.args.get("next", ""))


@accounts.post("/sign-in")
@public
def sign_in_by_password() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Check name and password. Says neither whether the name exists nor which of the two was wrong."""
    name, password = request.form.get("name", "").strip(), request.form.get("password", "")
    per_name, per_address = current_app.extensions[_LIMITS]
    address, now = client_host(), time.monotonic()
    wait = max(per_name.wait((address, name), now), per_address.wait(address, now))
    if wait > 0:
        log.warning("sign_in_limited", address=address)
        return _again(name, f"Too many tries. Wait {int(wait) + 1} seconds.", 429, {"Retry-After": str(int(wait) + 1)})
    account = None
    if name and "\0" not in name and max(len(name), len(password)) <= _LONGEST:
        with transaction() as session:
            account = sign_in(session, name, password, address, request_id(), clock())
    if account is None:
        per_name.failed((address, name), now)
        per_address.failed(address, now)
        log.warning("sign_in_failed", address=address)
        return _again(name, "Name or password is wrong.", 401, {})
    per_name.succeeded((address, name))
    begin_session(account)
    log.info("signed_in", account=account.name)
    return redirect(_next_page())


def _again(name: str, message: str, status: int, headers: dict[str, str]) -> tuple[str, int, dict[str, str]]:
    page = render_template(
        "accounts/sign_in.html", name=name[:_LONGEST], message=message, next=request.form.get("next", "")
    )
    return page, status, headers


@accounts.post("/sign-out")
@allow(Role.VIEWER)
def sign_out() -> Response:
    """End this session, or with `everywhere` all sessions of the account."""
    if request.form.get("everywhere"):
        with transaction() as session:
            end_sessions(session, signed_in().name, origin(), clock())
    end_session()
    return redirect(url_for("accounts.sign_in_page"))


@accounts.post("/theme")
@public
def set_theme() -> Response:
    """Remember light or dark in a cookie; anything else follows the system again."""
    theme = request.form.get("theme", "")
    if theme and theme not in THEMES:
        abort(400)
    response = redirect(_next_page())
    secure = bool(current_app.config["SESSION_COOKIE_SECURE"])
    response.set_cookie("theme", theme, max_age=_YEAR_SECONDS, samesite="Lax", secure=secure, httponly=True)
    return response


def _next_page() -> str:
    """Where to go on: a path of ours and nothing else, so that a link cannot send people elsewhere."""
    wanted = request.values.get("next", "")
    own_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    # Browsers drop tabs and newlines: "/<tab>/elsewhere" would be another host.
    if not own_path or any(ord(character) < 0x20 for character in wanted):
        return url_for("incidents.index")
    return wanted
