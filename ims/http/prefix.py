"""A path prefix: ims-web below a path of a host, such as https://ops.example/ims, behind a proxy."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from flask import Flask

from ims.core.errors import ConfigurationFaulty
from ims.core.net import AnyNetwork, is_within, read_address
from ims.core.settings import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_HEADER: Final = "HTTP_X_FORWARDED_PREFIX"
# Never `//host`: links are made of it.
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_MOST: Final = 200


def prefix_of(web_url: str) -> str:
    """The path of IMS_WEB_URL without a slash at its end; empty without a path."""
    return urlsplit(web_url).path.rstrip("/")


def install(app: Flask, settings: Settings) -> None:
    """Serve `app` below the path of IMS_WEB_URL, or below the prefix that a trusted proxy names.

    Raises `ConfigurationFaulty` if that path could be taken for a page of IMS. Call it when all pages are registered.
    """
    prefix = prefix_of(settings.web_url)
    own = {rule.rule.split("/")[1] for rule in app.url_map.iter_rules()} - {""}
    if prefix and (not _is_prefix(prefix) or prefix.split("/")[1] in own):
        raise ConfigurationFaulty(
            f"IMS_WEB_URL: the path {prefix} must consist of letters, digits, dots, hyphens and underscores, and must "
            f"not begin with a path of IMS itself: {', '.join(sorted(own))}"
        )
    # Other programs on the same host must not get the session.
    app.config["SESSION_COOKIE_PATH"] = prefix or "/"
    app.wsgi_app = _Prefixed(app.wsgi_app, prefix, settings.trusted_networks, own)  # type: ignore[method-assign]


def _is_prefix(prefix: str) -> bool:
    parts = prefix.split("/")
    return bool(_PREFIX.fullmatch(prefix)) and len(prefix) <= _MOST and not {".", ".."} & set(parts)


class _Prefixed:
    """Moves the prefix from the path to SCRIPT_NAME, from which all links are made.

    Some proxies remove the prefix from the path and others leave it there: both work.
    """

    def __init__(
        self, app: "WSGIApplication", prefix: str, trusted: tuple[AnyNetwork, ...], own: frozenset[str] | set[str]
    ) -> None:
        self._app, self._prefix, self._trusted, self._own = app, prefix, trusted, own

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        prefix = self._named(environ) or self._prefix
        if prefix:
            environ["SCRIPT_NAME"] = prefix
            path = environ.get("PATH_INFO", "")
            if path == prefix or path.startswith(f"{prefix}/"):
                environ["PATH_INFO"] = path.removeprefix(prefix) or "/"
        return self._app(environ, start_response)

    def _named(self, environ: "WSGIEnvironment") -> str:
        """The prefix that a trusted proxy names; empty if there is none or it is no path that IMS may be below."""
        given = environ.get(_HEADER, "").rstrip("/")
        peer = read_address(environ.get("REMOTE_ADDR", "")) if given else None
        if peer is None or not is_within(peer, self._trusted) or not _is_prefix(given):
            return ""
        return "" if given.split("/")[1] in self._own else given
