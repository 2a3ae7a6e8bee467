"""Pages for administrators: accounts, teams, and the tokens of all accounts."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ims.accounts.people import usecases as actions
from ims.accounts.people.inputs import NewAccount, NewTeam
from ims.accounts.people.queries import all_teams, people, person, team_names
from ims.accounts.people.teams import create_team, remove_team
from ims.accounts.tokens.queries import tokens_of
from ims.accounts.tokens.usecases import revoke_token
from ims.core.context import Context
from ims.core.errors import IMSError
from ims.core.principal import Role
from ims.core.validation import read
from ims.http.authentication import allow, use_case
from ims.http.resources import clock, transaction

administration = Blueprint("people", __name__, url_prefix="/admin")

ROLES = tuple(role.value for role in Role)


@administration.get("/users")
@allow(Role.ADMIN)
def index() -> str:
    return _list_page()


def _list_page(values: object = (), wrong: object = ()) -> str:
    with transaction() as session:
        accounts, teams = people(session), all_teams(session)
    return render_template("accounts/users.html", people=accounts, teams=teams, values=values or {}, wrong=wrong)


@administration.get("/users/new")
@allow(Role.ADMIN)
def new() -> str:
    """The form that creates an account."""
    return _new_page({"role": Role.RESPONDER.value}, ())


@administration.post("/users/new")
@allow(Role.ADMIN)
def create() -> Response | tuple[str, int]:
    """Create an account. IMS does not send the password to the user."""
    form = request.form
    try:
        given = read(NewAccount, {**form.to_dict(), "teams": form.getlist("teams")})
        with use_case() as context:
            actions.create_account(context, given, form.get("password", ""))
    except IMSError as error:
        if not error.fields:
            raise
        return _new_page({**form.to_dict(), "teams": form.getlist("teams")}, error.fields), error.status
    flash(f"{given.name} can sign in now.")
    return redirect(url_for(".index"))


def _new_page(values: object, wrong: object) -> str:
    with transaction() as session:
        teams = team_names(session)
    return render_template("accounts/user_new.html", values=values, wrong=wrong, teams=teams, roles=ROLES)


@administration.get("/users/<name>")
@allow(Role.ADMIN)
def one(name: str) -> str:
    """One account and the forms that change it. Raises `NoSuchAccount`."""
    return _one_page(name)


def _one_page(name: str, values: dict[str, Any] | None = None, wrong: object = (), message: str = "") -> str:
    now = clock()
    with transaction() as session:
        account, teams = person(session, name), team_names(session)
        tokens = tokens_of(session, user_id=account.id)
    return render_template(
        "accounts/user.html",
        person=account,
        values=values or {"role": account.role, "email": account.email or "", "teams": account.teams},
        wrong=wrong,
        message=message,
        teams=teams,
        tokens=tokens,
        roles=ROLES,
        now=now,
    )


@administration.post("/users/<name>")
@allow(Role.ADMIN)
def change(name: str) -> Response | tuple[str, int]:
    """Change role, e-mail address and teams."""
    form = request.form
    values = {"role": form.get("role", ""), "email": form.get("email", ""), "teams": form.getlist("teams")}
    return _do(name, lambda context: actions.change_account(context, name, values), "Saved.", values)


@administration.post("/users/<name>/password")
@allow(Role.ADMIN)
def set_password(name: str) -> Response | tuple[str, int]:
    """Set another password, which ends the account's sessions."""
    password = request.form.get("password", "")
    return _do(
        name,
        lambda context: actions.set_password(context, name, password),
        "The password has been changed, and all sessions have ended.",
    )


@administration.post("/users/<name>/disable")
@allow(Role.ADMIN)
def disable(name: str) -> Response | tuple[str, int]:
    """Disable the account and revoke its sessions and tokens."""
    return _do(
        name,
        lambda context: actions.disable_account(context, name),
        "The account is disabled; its sessions and tokens have been revoked.",
    )


@administration.post("/users/<name>/enable")
@allow(Role.ADMIN)
def enable(name: str) -> Response | tuple[str, int]:
    return _do(name, lambda context: actions.enable_account(context, name), "The account is enabled.")


@administration.post("/users/<name>/sign-out")
@allow(Role.ADMIN)
def sign_out(name: str) -> Response | tuple[str, int]:
    return _do(name, lambda context: actions.end_sessions(context, name), "All sessions have ended.")


@administration.post("/users/<name>/tokens/<token>/revoke")
@allow(Role.ADMIN)
def revoke(name: str, token: str) -> Response | tuple[str, int]:
    """Revoke a token of the account. Raises `NotFound`."""
    return _do(name, lambda context: revoke_token(context, token, user=name), f"{token.upper()} has been revoked.")


def _do(
    name: str,
    action: Callable[[Context], object],
    done: str,
    values: dict[str, Any] | None = None,
) -> Response | tuple[str, int]:
    """Apply an action to an account and redirect to its page; if it is rejected, the page shows the error."""
    try:
        with use_case() as context:
            action(context)
    except IMSError as error:
        if error.status not in (400, 409):
            raise
        return _one_page(name, values, error.fields, "" if error.fields else error.message), error.status
    flash(done)
    return redirect(url_for(".one", name=name))


@administration.post("/teams")
@allow(Role.ADMIN)
def add_team() -> Response | tuple[str, int]:
    try:
        given = read(NewTeam, request.form)
        with use_case() as context:
            is_new = create_team(context, given)
    except IMSError as error:
        if not error.fields:
            raise
        return _list_page(request.form, error.fields), error.status
    flash(f"Team {given.name} has been added." if is_new else f"Team {given.name} already exists.")
    return redirect(url_for(".index"))


@administration.post("/teams/remove")
@allow(Role.ADMIN)
def remove() -> Response:
    """Remove a team and its memberships. Raises `Invalid` and `NoSuchTeam`."""
    given = read(NewTeam, request.form)
    with use_case() as context:
        remove_team(context, given.name)
    flash(f"Team {given.name} has been removed.")
    return redirect(url_for(".index"))
