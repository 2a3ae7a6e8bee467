"""NUL and halves of surrogate pairs, which PostgreSQL cannot store, in every filter, cursor, path and form."""

import base64
import json
import re
from urllib.parse import quote

import pytest
from flask import Flask
from werkzeug.routing import Rule

from ims.core.paging import encode_cursor
from tests.integration.web.conftest import SignIn, token

HOSTILE = ["a%00b", "%ED%A0%80%ff" + quote("\x1b[2J\u202e\ufffe")]
NOT_CALLED = {"documentation.openapi", "static"}


def own_parameters(app: Flask, rule: Rule) -> list[str]:
    """The query parameters of a path of the API, else those that pages know."""
    operation = getattr(app.view_functions[rule.endpoint], "operation", None)
    if operation is not None:
        return [field.alias or name for name, field in operation.query.model_fields.items()] if operation.query else []
    return ["q", "status", "severity", "service", "team", "assignee", "environment", "from", "to", "cursor", "before"]


def filled(rule: Rule, value: str) -> str:
    return re.sub(r"<[^>]+>", value, rule.rule)


@pytest.mark.parametrize("value", HOSTILE)
def test_no_filter_and_no_path_breaks_on_it(sign_in: SignIn, app: Flask, value: str) -> None:
    alice = sign_in("alice")
    broken = []
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint in NOT_CALLED:
            continue
        addresses = [filled(rule, value)] if rule.arguments else []
        addresses += [f"{filled(rule, '1')}?{name}={value}" for name in own_parameters(app, rule)]
        addresses.append(f"{filled(rule, '1')}?{value}=1")
        broken += [address for address in addresses if alice.get(address).status_code == 500]
    assert broken == []


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "x\\udfff"])
def test_no_cursor_breaks_on_it(sign_in: SignIn, app: Flask, text: str) -> None:
    alice = sign_in("alice")
    rules = [rule for rule in app.url_map.iter_rules() if not rule.arguments and rule.endpoint not in NOT_CALLED]
    paths = {rule.rule: own_parameters(app, rule) for rule in rules}
    lists = [path for path, names in paths.items() if "cursor" in names and path.startswith("/api/v1")]
    assert len(lists) > 5
    for path in lists:
        # The cursor of the list itself, with its position replaced.
        found = alice.get(f"{path}?limit=1")
        cursor = (found.json or {}).get("next") or (found.json or {}).get("next_cursor") or encode_cursor(["x"], [])
        mine = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        body = json.dumps([mine[0], *["POSITION"] * (len(mine) - 1)]).replace("POSITION", text)
        forged = base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")
        assert alice.get(f"{path}?limit=1&cursor={forged}").status_code in (400, 422), path


@pytest.mark.parametrize("value", ["a\0b", "\ud800\x1b[2J\u202e"])
def test_no_form_breaks_on_it(sign_in: SignIn, app: Flask, value: str) -> None:
    alice, broken = sign_in("alice"), []
    names = ("name", "title", "description", "text", "note", "team", "email", "role", "password", "present", "label",
             "scope", "lifetime", "next", "theme", "assignee", "severity", "service", "environment", "url", "kind",
             "networks", "receiver", "reason", "everywhere", "teams", "rate", "version")  # fmt: skip
    for rule in app.url_map.iter_rules():
        if "POST" not in (rule.methods or ()) or rule.rule.startswith("/api/") or "sign-out" in rule.rule:
            continue
        sent = value.encode("utf-8", "surrogatepass")
        body = "&".join(f"{name}={quote(sent)}" for name in names) + f"&csrf_token={token(alice)['csrf_token']}"
        for path in {filled(rule, quote(sent)), filled(rule, "1")}:
            answer = alice.post(path, data=body, content_type="application/x-www-form-urlencoded")
            broken += [path] if answer.status_code == 500 else []
    assert broken == []
