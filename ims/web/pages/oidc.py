"""Pages: sign-in with the identity provider."""

from datetime import datetime, timedelta
from typing import Any, Final

from flask import Blueprint, current_app, redirect, request, session, url_for
from werkzeug.wrappers import Response

from ims.accounts.oidc.claims import Identity, Rules
from ims.accounts.oidc.errors import SignInForgotten, SignInRefused
from ims.accounts.oidc.provider import Begun, Provider
from ims.accounts.oidc.usecases import admit, record_refusal
from ims.core.errors import NotFound
from ims.core.log import logger
from ims.core.principal import Account, Principal
from ims.core.settings import Settings
from ims.http.authentication import begin_session, client_host, public, use_case
from ims.http.resources import clock, settings
from ims.web.pages.account import SAID_ONCE, next_page, sign_in_again

oidc = Blueprint("oidc", __name__)
log = logger(__name__)

_PROVIDER: Final = "ims.oidc"
_BEGUN: Final = "oidc"
"""Key in the session cookie of the sign-ins started in this browser, by OIDC state."""
MOST_BEGUN: Final = 3
"""Concurrent sign-ins per browser (one per tab); the cookie's size is limited."""
BEGUN_FOR: Final = timedelta(minutes=10)


GROUPS_MISSING: Final = (
    "The identity provider left out your groups, because there are too many. Your role and your teams stay as they "
    "were. Ask an administrator to have the provider send only the groups that IMS needs."
)


class NoProvider(NotFound):
    """Sign-in with an identity provider is not configured: IMS_OIDC_ISSUER is not set."""


def provide(extensions: dict[str, Any], settings: Settings) -> None:
    """Register the identity provider, if one is configured."""
    extensions[_PROVIDER] = Provider(settings) if settings.oidc_issuer else None


def _provider() -> Provider:
    found = current_app.extensions[_PROVIDER]
    if found is None:
        raise NoProvider
    assert isinstance(found, Provider)  # noqa: S101 - `provide` put it there
    return found


@oidc.get("/sign-in/oidc")
@public
def begin() -> Response | tuple[str, int]:
    """Redirect to the identity provider and remember the sign-in in the session cookie."""
    try:
        begun = _provider().begin(_callback())
    except SignInRefused as refused:
        return sign_in_again(refused.message), refused.status
    kept = session.get(_BEGUN)
    known = list(kept.items())[-(MOST_BEGUN - 1) :] if isinstance(kept, dict) else []
    mine = {"nonce": begun.nonce, "verifier": begun.verifier, "next": next_page()[:500], "at": clock().isoformat()}
    session[_BEGUN] = {**dict(known), begun.state: mine}
    return redirect(begun.url)


@oidc.get("/sign-in/oidc/callback")
@public
def finish() -> Response | tuple[str, int]:
    """Complete the sign-in and redirect to the page the user wanted."""
    identity: Identity | None = None
    try:
        provider = _provider()
        begun, following = _begun(request.args.get("state", ""))
        identity = provider.finish(begun, request.args, _callback())
        account = _admit(identity)
    except SignInRefused as refused:
        log.warning("sign_in_refused", reason=type(refused).__name__, address=client_host())
        if identity is not None:
            with use_case(Principal.of_ims()) as context:
                record_refusal(context, identity, refused)
        return sign_in_again(refused.message), refused.status
    begin_session(account)
    log.info("signed_in", account=account.name)
    if identity.are_groups_missing and (settings().oidc_roles or settings().oidc_teams):
        log.warning("oidc_groups_missing", account=account.name)
        session[SAID_ONCE] = GROUPS_MISSING
    return redirect(following)


def _admit(identity: Identity) -> Account:
    ours = settings()
    rules = Rules(ours.oidc_roles, ours.oidc_default_role, ours.oidc_teams)
    with use_case(Principal.of_ims()) as context:
        return admit(context, identity, rules)


def _begun(state: str) -> tuple[Begun, str]:
    """The sign-in that this browser started with this state. A state is valid once. Raises `SignInForgotten`."""
    kept = session.get(_BEGUN)
    mine = kept.get(state) if isinstance(kept, dict) else None
    if not isinstance(kept, dict) or not isinstance(mine, dict):
        raise SignInForgotten
    session[_BEGUN] = {other: value for other, value in kept.items() if other != state}
    try:
        begun_at = datetime.fromisoformat(mine["at"])
        begun = Begun("", state, str(mine["nonce"]), str(mine["verifier"]))
        following = str(mine["next"])
    except (KeyError, ValueError, TypeError) as error:
        raise SignInForgotten from error
    if clock() - begun_at > BEGUN_FOR:
        raise SignInForgotten
    return begun, following


def _callback() -> str:
    """The callback URL, built from the setting: the Host header of a request is not trusted."""
    return settings().web_url.rstrip("/") + url_for(".finish").removeprefix(request.script_root)
