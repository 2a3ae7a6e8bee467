"""Pages: sign in, sign out, the user's own account with its password and tokens, and the theme."""

from datetime import timedelta
from typing import Final

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ims.accounts.limits import Counted, TooManyTries, counted, give_back, take_try
from ims.accounts.people import usecases as actions
from ims.accounts.people.queries import person
from ims.accounts.token_names import token_id, token_name
from ims.accounts.tokens.queries import tokens_of
from ims.accounts.tokens.usecases import NewToken, create_own_token, revoke_own_token, rotate_own_token
from ims.accounts.usecases import sign_in
from ims.core.errors import FieldError, Invalid
from ims.core.log import logger
from ims.core.principal import Principal, Role, Scope, widest_scope
from ims.http.authentication import (
    allow,
    begin_session,
    client_host,
    forget_session,
    identify,
    public,
    session_id,
    signed_in,
    use_case,
)
from ims.http.resources import clock, settings, transaction
from ims.web.token_forms import LIFETIMES, chosen_lifetime, chosen_scope

accounts = Blueprint("accounts", __name__)
log = logger(__name__)

THEMES = ("light", "dark")
SAID_ONCE: Final = "said_once"
"""Key in the session of a message that the next page shows, whichever it is."""
_YEAR_SECONDS = 365 * 24 * 3600
_LONGEST = 256
OVERLAP: Final = timedelta(hours=1)
"""How long a rotated token stays valid."""


@accounts.get("/sign-in")
@public
def sign_in_page() -> Response | str:
    """The form; a signed-in user is redirected to the page they wanted."""
    if identify():
        return redirect(next_page())
    return render_template("accounts/sign_in.html", next=request.args.get("next", ""))


@accounts.post("/sign-in")
@public
def sign_in_by_password() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Check name and password. The response reveals neither whether the name exists nor which of the two was wrong."""
    name, password = request.form.get("name", "").strip(), request.form.get("password", "")
    address, account = client_host(), None
    try:
        tries = _take_try(name)
    except TooManyTries as limited:
        log.warning("sign_in_limited", address=address)
        return _again(name, limited.message, limited.status, {"Retry-After": str(limited.seconds)})
    if name and "\0" not in name and max(len(name), len(password)) <= _LONGEST:
        with use_case(Principal.of_ims()) as context:
            account = sign_in(context, name, password)
    if account is None:
        log.warning("sign_in_failed", address=address)
        return _again(name, "Name or password is wrong.", 401, {})
    _give_back(tries)
    begin_session(account)
    log.info("signed_in", account=account.name)
    return redirect(next_page())


def _take_try(name: str) -> tuple[Counted, Counted]:
    """Count an attempt for this name and client address; committed before the password is checked.

    Raises `TooManyTries`.
    """
    secret = settings().secret_key
    assert secret is not None  # noqa: S101 - create_app requires it
    tries = counted(secret.get_secret_value(), client_host(), name)
    with transaction() as session:
        take_try(session, tries, clock())
    return tries


def _give_back(tries: tuple[Counted, Counted]) -> None:
    with transaction() as session:
        give_back(session, tries)


def _again(name: str, message: str, status: int, headers: dict[str, str]) -> tuple[str, int, dict[str, str]]:
    page = render_template(
        "accounts/sign_in.html", name=name[:_LONGEST], message=message, next=request.form.get("next", "")
    )
    return page, status, headers


@accounts.post("/sign-out")
@allow(Role.VIEWER)
def sign_out() -> Response:
    """End this session; with `everywhere`, all sessions of the account."""
    with use_case() as context:
        if request.form.get("everywhere"):
            actions.end_own_sessions(context)
        elif (mine := session_id()) is not None:
            actions.end_session(context, mine)
    forget_session()
    return redirect(url_for("accounts.sign_in_page"))


@accounts.get("/account")
@allow(Role.VIEWER)
def own() -> str:
    """The user's own account, password and tokens."""
    return _own_page()


def _own_page(wrong: object = (), values: object = None, new_token: NewToken | None = None) -> str:
    now, principal = clock(), signed_in()
    with transaction() as session:
        me, tokens = person(session, principal.name), tokens_of(session, user_id=principal.account)
    widest = widest_scope(principal.role)
    return render_template(
        "accounts/account.html",
        person=me,
        tokens=tokens,
        scopes=[scope for scope in Scope if widest.includes(scope)],
        lifetimes=LIFETIMES,
        wrong=wrong,
        values=values or {},
        new_token=new_token,
        now=now,
    )


@accounts.post("/account/password")
@allow(Role.VIEWER)
def change_password() -> Response | tuple[str, int]:
    """Change the user's own password. All other sessions of the account end."""
    present, wanted = request.form.get("present", ""), request.form.get("password", "")
    try:
        tries = _take_try(signed_in().name)
    except TooManyTries as limited:
        # Someone who finds an open session must not be able to guess its password.
        wrong = FieldError("present", f"was wrong too often: wait {limited.seconds} seconds")
        return _own_page([wrong]), Invalid.status
    try:
        with use_case() as context:
            account = actions.change_own_password(context, present, wanted)
    except Invalid as error:
        if all(field.field != "present" for field in error.fields):
            _give_back(tries)
        return _own_page(error.fields), error.status
    _give_back(tries)
    begin_session(account)
    flash("Your password has been changed. All your other sessions have ended.")
    return redirect(url_for(".own"))


@accounts.post("/account/tokens")
@allow(Role.VIEWER)
def create_token() -> tuple[str, int]:
    """Create a token for the user's own account. Only this response contains its text."""
    form = request.form
    try:
        scope, lifetime = chosen_scope(form.get("scope", "")), chosen_lifetime(form.get("lifetime", ""))
        with use_case() as context:
            token = create_own_token(context, scope, form.get("label", ""), lifetime=lifetime)
    except Invalid as error:
        return _own_page(error.fields, form), error.status
    return _own_page(new_token=token), 200


@accounts.post("/account/tokens/<token>/rotate")
@allow(Role.VIEWER)
def rotate(token: str) -> tuple[str, int]:
    """Rotate one of the user's own tokens; the old one is valid for another hour. Raises `NotFound`, `TokenEnded`."""
    with use_case() as context:
        new = rotate_own_token(context, token, OVERLAP)
    return _own_page(new_token=new), 200


@accounts.post("/account/tokens/<token>/revoke")
@allow(Role.VIEWER)
def revoke(token: str) -> Response:
    """Revoke one of the user's own tokens. Raises `NotFound`."""
    with use_case() as context:
        revoke_own_token(context, token)
    flash(f"{token_name(token_id(token))} has been revoked.")
    return redirect(url_for(".own"))


@accounts.post("/theme")
@public
def set_theme() -> Response:
    """Remember light or dark in a cookie; an empty theme follows the system's setting."""
    theme = request.form.get("theme", "")
    if theme and theme not in THEMES:
        abort(400)
    response = redirect(next_page())
    secure = bool(current_app.config["SESSION_COOKIE_SECURE"])
    response.set_cookie(
        "theme",
        theme,
        max_age=_YEAR_SECONDS,
        samesite="Lax",
        secure=secure,
        httponly=True,
        path=request.script_root or "/",
    )
    return response


def sign_in_again(message: str) -> str:
    """The sign-in form with the error: a user whose sign-in at the identity provider failed may have a password."""
    return render_template("accounts/sign_in.html", name="", message=message, next="")


def next_page() -> str:
    """Where to redirect to: only a local path, so that a link cannot redirect users to another host.

    The parameter `next` is a path without the prefix, below which a proxy may have put IMS.
    """
    wanted = request.values.get("next", "")
    own_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    # Browsers drop tabs and newlines: "/<tab>/elsewhere" would be another host.
    if not own_path or any(ord(character) < 0x20 for character in wanted):
        return url_for("incidents.index")
    return request.script_root + wanted
