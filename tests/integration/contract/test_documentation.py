"""The API's documentation pages: their examples work unchanged, and they cover every operation."""

import json
import re
import subprocess
from html import unescape

import pytest
from flask import Flask

from ims.api.documentation import Documentation, slug
from ims.core.db.engine import Database
from ims.core.settings import Settings
from ims.programs.web import GROUPS, create_app
from tests.integration.contract.served import Installation, served
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.parametrize("postgres", ["18"], indirect=True)

ADDRESSES = ["/api", *(f"/api/{slug(group)}" for group in GROUPS)]
_EXAMPLE = re.compile(r'<pre class="curl">(.*?)</pre>', re.DOTALL)
MOST_BYTES = 150_000


def _examples(page: str) -> list[str]:
    return [unescape(found) for found in _EXAMPLE.findall(page)]


def _run(command: str, installation: Installation) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "IMS_URL": installation.address,
        "IMS_TOKEN": installation.token,
        "IMS_SOURCE_TOKEN": installation.source_token,
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def app(settings: Settings, database: Database) -> Flask:
    return create_app(settings, database)


@pytest.fixture
def pages(app: Flask) -> dict[str, str]:
    """The pages by URL, as seen without signing in."""
    client = app.test_client()
    answers = {address: client.get(address) for address in ADDRESSES}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {address: answer.text for address, answer in answers.items()}


def test_every_example_works_as_it_stands(
    pages: dict[str, str], settings: Settings, database: Database, postgres: PostgresServer
) -> None:
    with served(settings, database, postgres) as installation:
        for address in ADDRESSES[1:]:
            examples = _examples(pages[address])
            assert examples, address
            for command in examples:
                ended = _run(command, installation)
                assert ended.returncode == 0, (command, ended.stdout, ended.stderr)


def test_the_first_steps_open_list_and_resolve(
    pages: dict[str, str], settings: Settings, database: Database, postgres: PostgresServer
) -> None:
    opening, *others = _examples(pages["/api"])
    with served(settings, database, postgres) as installation:
        # One shell: the first step keeps the incident's name for the others.
        ended = _run("\necho; ".join([opening, *others]), installation)
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    name, *answers = [line for line in ended.stdout.splitlines() if line]
    listed, looked, resolved = map(json.loads, answers)
    assert name in [one["incident"] for one in listed["items"]]
    assert (looked["incident"], looked["status"]) == (name, "acknowledged")
    assert (resolved["incident"], resolved["status"]) == (name, "resolved")


def test_pages_are_small_and_stand_alone(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        assert len(page.encode()) < MOST_BYTES, address
        assert not re.findall(r'(?:src|href)="https?://', page), address


def test_the_document_has_every_route(app: Flask) -> None:
    paths = Documentation(GROUPS).openapi["paths"]
    shown = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    served_ = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and rule.rule != "/api/v1/openapi.json"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert shown == served_


def test_the_document_is_the_one_that_is_served(app: Flask) -> None:
    answer = app.test_client().get("/api/v1/openapi.json")
    assert answer.get_json() == json.loads(json.dumps(Documentation(GROUPS).openapi))
