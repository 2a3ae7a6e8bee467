"""Canaille, an identity provider, with three people: run by the Python of an environment of its own.

    python canaille_program.py PORT CALLBACK SECRET

It keeps them in an SQLite file in the working directory.

alice leads, bob is one of the engineers, charlie is in no group that matters here; their passwords are
`<name> at home`. The client `ims` has to be consented to, the client `other` is somebody else's.
"""

import datetime
import logging
import sys

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc import jwk
from werkzeug.serving import make_server

PEOPLE = {"alice": ("leads", "engineers"), "bob": ("engineers",), "charlie": ("guests",)}


def main(port: int, callback: str, secret: str) -> None:
    """Serve until the process is ended."""
    key = jwk.RSAKey.generate_key(2048, parameters={"use": "sig", "alg": "RS256", "kid": "the-key"})
    app = create_app(
        {
            "SECRET_KEY": "only for tests",
            "SERVER_NAME": f"127.0.0.1:{port}",
            "PREFERRED_URL_SCHEME": "http",
            "CANAILLE": {"DATABASE": "sql", "FORCE_HTTPS": False, "SMTP": None, "CAPTCHA_ENABLED": False},
            "CANAILLE_SQL": {"DATABASE_URI": "sqlite:///canaille.sqlite"},
            "CANAILLE_OIDC": {
                "ACTIVE_JWKS": [key.as_dict(private=True)],
                "TRUSTED_DOMAINS": [],
                "USERINFO_MAPPING": {
                    "PREFERRED_USERNAME": "{{ user.user_name }}",
                    # Its access tokens hold times in whole seconds: two of one person in one second would be the same
                    # text, which its database refuses. Something in them has to differ.
                    "WEBSITE": "https://example.org/{{ range(1000000000) | random }}",
                },
            },
        }
    )
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with app.app_context():
        fill(callback, secret)
    make_server("127.0.0.1", port, app, threaded=True).serve_forever()


def fill(callback: str, secret: str) -> None:
    """People, groups and clients."""
    people = {}
    for name in PEOPLE:
        people[name] = models.User(
            user_name=name,
            formatted_name=name.capitalize(),
            family_name=name.capitalize(),
            emails=[f"{name}@example.org"],
            password=f"{name} at home",
        )
        Backend.instance.save(people[name])
    for group in sorted({group for groups in PEOPLE.values() for group in groups}):
        members = [people[name] for name, groups in PEOPLE.items() if group in groups]
        Backend.instance.save(models.Group(display_name=group, members=members))
    for name in ("ims", "other"):
        client = models.Client(
            client_id=name,
            client_secret=secret,
            client_name=name,
            client_uri="https://ims.example",
            redirect_uris=[callback],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "profile", "email", "groups"],
            token_endpoint_auth_method="client_secret_basic",
            client_id_issued_at=datetime.datetime.now(datetime.UTC),
        )
        Backend.instance.save(client)
        client.audience = [client]
        Backend.instance.save(client)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
