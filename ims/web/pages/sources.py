"""Pages for administrators: sources of alerts, their last notification, and their tokens."""

from collections.abc import Callable, Mapping
from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ims.accounts.token_names import token_id, token_name
from ims.accounts.tokens.queries import TokenState, token_state, tokens_of, working_tokens
from ims.accounts.tokens.usecases import NewToken, revoke_token, rotate_token
from ims.core.context import Context
from ims.core.errors import IMSError
from ims.core.principal import Role
from ims.http.authentication import allow, use_case
from ims.http.resources import clock, transaction
from ims.sources.definition import OWN_SOURCE, PATHS, SourceKind
from ims.sources.queries import all_sources, source_named
from ims.sources.state import state_of
from ims.sources.usecases import create_source_token
from ims.web.token_forms import LIFETIMES, OVERLAPS, chosen_lifetime, chosen_overlap

sources = Blueprint("sources", __name__, url_prefix="/admin/sources")

PAGE_ROWS: Final = 50
ENDED_ROWS: Final = 20
"""How many ended tokens are shown, newest first: each rotation leaves one."""


@sources.get("")
@allow(Role.ADMIN)
def index() -> str:
    """Sources by name, paginated; `after` is the last name of the previous page."""
    after, now = request.args.get("after", ""), clock()
    with transaction() as session:
        found = [source for source in all_sources(session) if source.name > after]
        tokens = working_tokens(session, now)
    return render_template(
        "sources/list.html",
        sources=found[:PAGE_ROWS],
        after=found[PAGE_ROWS - 1].name if len(found) > PAGE_ROWS else None,
        is_first=not after,
        tokens=tokens,
        own=OWN_SOURCE,
        paths=PATHS,
        state_of=state_of,
    )


@sources.get("/<name>")
@allow(Role.ADMIN)
def one(name: str) -> str:
    """One source and its tokens. Raises `NotFound`."""
    return _one_page(name)


def _one_page(
    name: str,
    values: Mapping[str, str] | None = None,
    wrong: object = (),
    *,
    rotating: str = "",
    message: str = "",
    new_token: NewToken | None = None,
) -> str:
    """`rotating` is the token whose rotation failed: the error is shown in its row."""
    now = clock()
    with transaction() as session:
        source = source_named(session, name)
        tokens = list(reversed(tokens_of(session, source=name)))
    ended = [token for token in tokens if token_state(token, now) is TokenState.ENDED]
    return render_template(
        "sources/one.html",
        source=source,
        state=state_of(source),
        is_own=source.name == OWN_SOURCE,
        path=PATHS.get(SourceKind(source.kind)) if source.kind in set(SourceKind) else None,
        tokens=[token for token in tokens if token not in ended] + ended[:ENDED_ROWS],
        hidden=len(ended[ENDED_ROWS:]),
        lifetimes=LIFETIMES,
        overlaps=OVERLAPS,
        values=values or {},
        wrong=wrong,
        rotating=rotating,
        message=message,
        new_token=new_token,
        now=now,
    )


@sources.post("/<name>/tokens")
@allow(Role.ADMIN)
def create(name: str) -> tuple[str, int]:
    """Create a token of the source. Only this response contains its text. Raises `NotFound`."""
    form = request.form

    def make(context: Context) -> NewToken:
        lifetime = chosen_lifetime(form.get("lifetime", ""))
        return create_source_token(context, name, form.get("label", ""), lifetime=lifetime)

    return _make(name, make)


@sources.post("/<name>/tokens/<token>/rotate")
@allow(Role.ADMIN)
def rotate(name: str, token: str) -> tuple[str, int]:
    """Rotate a token of the source; the old one stays valid for the chosen time. Raises `NotFound`."""

    def make(context: Context) -> NewToken:
        return rotate_token(context, token, chosen_overlap(request.form.get("overlap", "")), source=name)

    return _make(name, make, rotating=token_name(token_id(token)))


def _make(name: str, make: Callable[[Context], NewToken], rotating: str = "") -> tuple[str, int]:
    """Create a token of a source and show it once; if that is rejected, the page shows the error."""
    try:
        with use_case() as context:
            new = make(context)
    except IMSError as error:
        if error.status not in (400, 409):
            raise
        message = "" if error.fields else error.message
        return _one_page(name, request.form, error.fields, rotating=rotating, message=message), error.status
    return _one_page(name, new_token=new), 200


@sources.post("/<name>/tokens/<token>/revoke")
@allow(Role.ADMIN)
def revoke(name: str, token: str) -> Response:
    """Revoke a token of the source. Raises `NotFound`."""
    with use_case() as context:
        revoke_token(context, token, source=name)
    flash(f"{token_name(token_id(token))} has been revoked.")
    return redirect(url_for(".one", name=name))
