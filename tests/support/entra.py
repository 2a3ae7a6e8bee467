"""An identity provider whose ID tokens have the claims that a test gives, as Entra ID, Okta and Keycloak send them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.http_server import Quiet, answering


@dataclass
class Provider:
    """Where the provider is, and the claims of the next ID token."""

    issuer: str
    key: RSAKey
    claims: dict[str, Any] = field(default_factory=dict)
    nonce: str = ""

    def answer_to(self, sign_in: str) -> str:
        """The query with which the provider sends the browser back; `sign_in` is where IMS has sent it."""
        given = {name: values[0] for name, values in parse_qs(urlsplit(sign_in).query).items()}
        self.nonce = given["nonce"]
        return f"code=once&state={given['state']}"

    def documents(self) -> dict[str, Any]:
        """What the provider answers, by path."""
        now = int(time())
        standard = {"iss": self.issuer, "aud": "ims", "nonce": self.nonce, "iat": now, "exp": now + 300}
        token = jwt.encode({"alg": "RS256", "kid": "one"}, {**standard, **self.claims}, self.key)
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            "/keys": {"keys": [{**self.key.as_dict(private=False), "kid": "one", "use": "sig", "alg": "RS256"}]},
            "/token": {"access_token": "unused", "token_type": "Bearer", "id_token": token},
        }


@contextmanager
def provider() -> Iterator[Provider]:
    """The provider for the time of the block."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            document = json.dumps(serving.documents()[self.path]).encode()
            self.answer(200, document, **{"Content-Type": "application/json"})

        def do_POST(self) -> None:
            self.body()
            self.do_GET()

    with answering(Handler) as url:
        serving = Provider(url, RSAKey.generate_key(2048))
        yield serving
