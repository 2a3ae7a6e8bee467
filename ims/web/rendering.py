"""Filters, functions and variables available in templates."""

import hashlib
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from flask import Flask, request, session, url_for
from markupsafe import Markup

from ims.accounts.token_names import token_name
from ims.accounts.tokens.queries import is_rotated, token_state
from ims.core import wording
from ims.core.shown import visible
from ims.healing.guards import phrase_of
from ims.http.authentication import may_change, principal
from ims.http.requests import request_id
from ims.http.resources import clock, settings
from ims.runs.ansi import to_markup
from ims.sources.state import warnings_of
from ims.web.pages.account import SAID_ONCE, THEMES

STATIC = Path(__file__).with_name("static")


def install(app: Flask) -> None:
    """Install the template filters, functions and variables in `app`."""
    app.jinja_env.finalize = _visible
    app.jinja_env.filters.update(
        duration=wording.duration,
        instant=wording.instant,
        stamp=wording.stamp,
        clock_time=wording.clock_time,
        words=wording.words,
        web_address=wording.web_address,
        ansi=to_markup,
        code=wording.code,
        reason=phrase_of,
    )
    app.jinja_env.globals.update(
        asset=asset,
        age_of=_age_of,
        clock=clock,
        is_rotated=is_rotated,
        said_once=_said_once,
        token_name=token_name,
        token_state=token_state,
        warnings_of=warnings_of,
    )
    app.context_processor(_context)


def _context() -> dict[str, object]:
    return {
        "principal": principal(),
        "may_change": may_change(),
        "request_id": request_id(),
        "has_provider": settings().oidc_issuer is not None,
        "theme": _theme(),
        "here": request.full_path.rstrip("?"),
    }


def _visible(value: object) -> object:
    """Every value that a template shows. Markup has been checked by who made it."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _said_once() -> str | None:
    said: str | None = session.pop(SAID_ONCE, None) if SAID_ONCE in session else None
    return said


def _theme() -> str:
    chosen = request.cookies.get("theme", "")
    return chosen if chosen in THEMES else ""


def _age_of(moment: datetime) -> str:
    return wording.age((clock() - moment).total_seconds())


def asset(name: str) -> str:
    """URL of a static file with the digest of its content, so that browsers can cache it forever."""
    return url_for("static", filename=name, v=_digest(name))


@lru_cache
def _digest(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
