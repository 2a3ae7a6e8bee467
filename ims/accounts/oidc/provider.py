"""The client of the identity provider: begins a sign-in, and exchanges the returned code for an identity.

Authlib implements the protocol: state, nonce and PKCE (S256), the exchange of the code, the signature and the claims of
the ID token. This module adds two rules: wherever the provider states its issuer, it must be the configured one; and
an ID token must be signed by one of the provider's public keys.
"""

import hmac
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client import BaseApp, OAuth2Mixin, OpenIDMixin
from authlib.integrations.requests_client import OAuth2Session
from joserfc.errors import JoseError
from requests import RequestException

from ims.accounts.oidc.claims import Identity, claim, read_identity
from ims.accounts.oidc.errors import ProviderAway, ProviderFaulty, SignInDenied
from ims.core.log import logger
from ims.core.settings import Settings

TIMEOUT_SECONDS: Final = 5
LEEWAY_SECONDS: Final = 60
"""Allowed difference between the provider's clock and ours."""
WELL_KNOWN: Final = "/.well-known/openid-configuration"

T = TypeVar("T")
log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in under way: `url` is the provider's page, the rest stays in the session of the browser."""

    url: str
    state: str
    nonce: str
    verifier: str


class _Client(OAuth2Mixin, OpenIDMixin, BaseApp):  # type: ignore[misc]
    """Authlib's client without a web framework: the caller keeps the state between the two requests."""

    client_cls = OAuth2Session


class Provider:
    """The configured identity provider. Opens no connection until it is used; threads share one instance."""

    def __init__(self, settings: Settings) -> None:
        assert settings.oidc_issuer is not None  # noqa: S101 - the caller has checked it
        self.issuer: Final = settings.oidc_issuer
        self._name_claim, self._groups_claim = settings.oidc_name_claim, settings.oidc_groups_claim
        secret = settings.oidc_client_secret
        self._client_id = settings.oidc_client_id
        self._client = _Client(
            framework=None,
            client_id=settings.oidc_client_id,
            client_secret=secret.get_secret_value() if secret is not None else None,
            server_metadata_url=self.issuer.rstrip("/") + WELL_KNOWN,
            client_kwargs={
                "scope": settings.oidc_scopes,
                "code_challenge_method": "S256",
                "default_timeout": TIMEOUT_SECONDS,
                "verify": _trusted_certificates(),
                "token_endpoint_auth_method": "client_secret_basic" if secret is not None else "none",
            },
        )

    def begin(self, redirect_uri: str) -> Begun:
        """Begin a sign-in. Raises `ProviderAway`, `ProviderFaulty`."""
        self._metadata()
        made = _translated(lambda: self._client.create_authorization_url(redirect_uri))
        return Begun(made["url"], made["state"], made["nonce"], made["code_verifier"])

    def finish(self, begun: Begun, answer: Mapping[str, str], redirect_uri: str) -> Identity:
        """The person who signed in; `answer` is the query of the redirect back to IMS.

        The caller has found `begun` by the answer's state. Raises `SignInDenied`, `ProviderAway`, `ProviderFaulty`.
        """
        metadata = self._metadata()
        self._require_own_answer(metadata, answer)
        if "error" in answer:
            log.warning("oidc_denied", error=answer["error"][:100])
            raise SignInDenied
        code, verifier = answer.get("code", ""), begun.verifier
        token = _translated(
            lambda: self._client.fetch_access_token(
                redirect_uri=redirect_uri, code=code, state=begun.state, code_verifier=verifier
            )
        )
        claims = self._claims(token, begun.nonce)
        return read_identity(claims, self.issuer, self._name_claim, self._groups_claim)

    def _metadata(self) -> dict[str, Any]:
        """The provider's metadata, fetched once. Raises `ProviderAway`, `ProviderFaulty`."""
        metadata: dict[str, Any] = _translated(self._client.load_server_metadata)
        if metadata.get("issuer") != self.issuer:
            # Clear Authlib's cache, so that the metadata is fetched again once the provider is corrected.
            metadata.clear()
            log.error("oidc_issuer_differs", expected=self.issuer)
            raise ProviderFaulty
        if not all(isinstance(metadata.get(name), str) for name in ("authorization_endpoint", "token_endpoint")):
            metadata.clear()
            log.error("oidc_metadata_incomplete")
            raise ProviderFaulty
        # Never accept unsigned tokens or tokens signed with a shared secret, whatever the provider offers.
        given = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        signed = [name for name in given if isinstance(name, str) and not name.startswith("HS") and name != "none"]
        metadata["id_token_signing_alg_values_supported"] = signed or ["RS256"]
        return metadata

    def _require_own_answer(self, metadata: Mapping[str, Any], answer: Mapping[str, str]) -> None:
        """RFC 9207: reject a response that another issuer sent, before the code is exchanged."""
        said = answer.get("iss")
        is_promised = bool(metadata.get("authorization_response_iss_parameter_supported"))
        if (said is None and is_promised) or (said is not None and not _equal(said, self.issuer)):
            log.error("oidc_answer_of_another_issuer")
            raise ProviderFaulty

    def _claims(self, token: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """The claims of the ID token, completed from the userinfo endpoint if the name or the groups are missing."""
        options = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self._client_id},
        }
        claims = _translated(
            lambda: self._client.parse_id_token(token, nonce=nonce, claims_options=options, leeway=LEEWAY_SECONDS)
        )
        if claims is None:
            log.error("oidc_without_id_token")
            raise ProviderFaulty
        found = dict(claims)
        wanted = (self._name_claim, self._groups_claim)
        if any(claim(found, name) is None for name in wanted) and self._client.server_metadata.get("userinfo_endpoint"):
            more = dict(_translated(lambda: self._client.userinfo(token=token)))
            # This response is not signed: it must name the same subject as the ID token.
            if more.get("sub") != found.get("sub"):
                log.error("oidc_userinfo_of_another_person")
                raise ProviderFaulty
            found = {**more, **found}
        return found


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _translated(call: Callable[[], T]) -> T:
    """Call the provider; translate its errors into ours, and log their type."""
    try:
        return call()
    except RequestException as error:
        answered = error.response is not None and error.response.status_code < 500
        log.warning("oidc_provider_faulty" if answered else "oidc_provider_away", error=type(error).__name__)
        raise (ProviderFaulty if answered else ProviderAway) from error
    except (AuthlibBaseError, JoseError) as error:
        # An error code of the protocol, such as invalid_grant; never a token.
        log.warning("oidc_refused", error=type(error).__name__, code=str(getattr(error, "error", ""))[:100])
        raise ProviderFaulty from error
    except (ValueError, TypeError, KeyError, RuntimeError, AttributeError) as error:
        # The response is not JSON, or JSON of an unexpected shape.
        log.warning("oidc_answer_unreadable", error=type(error).__name__)
        raise ProviderFaulty from error


def _trusted_certificates() -> str | bool:
    """The system's certificate authorities, which may include a company's own; requests would use its bundled list."""
    paths = ssl.get_default_verify_paths()
    for path in (paths.cafile, paths.capath):
        if path and Path(path).exists():
            return path
    return True
