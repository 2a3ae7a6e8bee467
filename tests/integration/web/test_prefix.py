"""ims-web below a path of a host, behind proxies that remove the path and such that leave it."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ims.core.db.engine import Database
from ims.core.errors import ConfigurationFaulty
from ims.core.settings import Settings
from ims.programs.web import create_app
from tests.support.history import PASSWORD

HOST, PREFIX = "https://company.example", "/ops/ims"


@pytest.fixture
def below(settings: Settings, database: Database) -> Flask:
    """ims-web with the path /ops/ims in its address."""
    return create_app(settings.model_copy(update={"web_url": "https://company.example/ops/ims/"}), database)


def browser(app: Flask, *, is_removed: bool = False) -> FlaskClient:
    """A browser that sees the prefix; the proxy removes it or leaves it."""
    if is_removed:
        inner = app.wsgi_app

        def proxy(environ: dict[str, Any], start_response: Any) -> Any:
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(PREFIX)
            return inner(environ, start_response)

        app.wsgi_app = proxy  # type: ignore[method-assign]
    return app.test_client()


def get(client: FlaskClient, path: str) -> TestResponse:
    return client.get(f"{PREFIX}{path}", base_url=HOST)


def post(client: FlaskClient, path: str, page: str, **data: str) -> TestResponse:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    given = {**data, "csrf_token": found[1]}
    return client.post(f"{PREFIX}{path}", data=given, headers={"Referer": f"{HOST}/"}, base_url=HOST)


def sign_in(client: FlaskClient) -> str:
    """Sign in; returns where it leads."""
    page = get(client, "/sign-in?next=/account").text
    answer = post(client, "/sign-in", page, name="bob", password=PASSWORD, next="/account")
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def own_links(page: str) -> set[str]:
    return set(re.findall(r'(?:href|src|action|data-[a-z]+)="(/[^"]*)"', page))


@pytest.mark.parametrize("is_removed", [False, True])
def test_every_link_has_the_prefix_whether_the_proxy_removes_it_or_not(below: Flask, is_removed: bool) -> None:
    client = browser(below, is_removed=is_removed)
    assert sign_in(client) == f"{PREFIX}/account"
    for path in ("/", "/incidents", "/incidents/INC-28", "/account", "/api", "/api/incidents"):
        answer = get(client, path)
        if answer.status_code == 302:
            assert answer.headers["Location"].startswith(f"{PREFIX}/")
            continue
        assert answer.status_code == 200, path
        assert own_links(answer.text)
        assert {link for link in own_links(answer.text) if not link.startswith(f"{PREFIX}/")} == set(), path


def test_the_session_belongs_to_the_path(below: Flask) -> None:
    client = browser(below)
    sign_in(client)
    cookie = client.get_cookie(below.config["SESSION_COOKIE_NAME"], "company.example", PREFIX)
    assert cookie
    assert cookie.path == PREFIX


def test_references_in_notes_have_the_prefix(below: Flask) -> None:
    client = browser(below)
    sign_in(client)
    post(client, "/incidents/INC-28/notes", get(client, "/incidents/INC-28").text, text="as in INC-28")
    assert f'as in <a href="{PREFIX}/incidents/INC-28"' in get(client, "/incidents/INC-28").text


def test_the_api_tells_places_below_the_prefix_and_health_needs_none(below: Flask) -> None:
    client = below.test_client()
    assert [client.get(path).status_code for path in ("/health", "/ops/ims/health", "/ops/imsx/health")] == [
        200,
        200,
        404,
    ]
    assert client.get("/ops/ims").headers["Location"].startswith("/ops/ims/")


@pytest.fixture
def trusting(settings: Settings, database: Database) -> Flask:
    return create_app(settings.model_copy(update={"trusted_proxies": "127.0.0.0/8"}), database)


@pytest.mark.parametrize(
    ("prefix", "peer", "expected"),
    [
        ("/ops", "127.0.0.1", "/ops/sign-in"),
        ("/ops/", "127.0.0.1", "/ops/sign-in"),
        ("/a/b", "127.0.0.1", "/a/b/sign-in"),
        # Not trusted, or nothing that IMS could be below.
        ("/ops", "192.0.2.1", "/sign-in"),
        ("//evil.example", "127.0.0.1", "/sign-in"),
        ("/\\evil.example", "127.0.0.1", "/sign-in"),
        ("/ops, /other", "127.0.0.1", "/sign-in"),
        ("/../ops", "127.0.0.1", "/sign-in"),
        ("/api", "127.0.0.1", "/sign-in"),
        ("/" + "x" * 300, "127.0.0.1", "/sign-in"),
    ],
)
def test_only_trusted_proxies_name_a_prefix(trusting: Flask, prefix: str, peer: str, expected: str) -> None:
    answer = trusting.test_client().get(
        "/account", headers={"X-Forwarded-Prefix": prefix}, environ_base={"REMOTE_ADDR": peer}
    )
    assert answer.headers["Location"].split("?")[0] == expected


@pytest.mark.parametrize("path", ["/api", "/incidents/x", "/a b", "/a//b", "/..", "/static"])
def test_a_path_that_ims_cannot_be_below_is_refused_at_the_start(settings: Settings, path: str) -> None:
    with pytest.raises(ConfigurationFaulty, match="IMS_WEB_URL: the path"):
        create_app(settings.model_copy(update={"web_url": f"https://company.example{path}"}))
