"""The pages about sources: last notification, state, and tokens."""

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select, update

from ims.accounts.models import ApiToken
from ims.accounts.passwords import hash_token
from ims.accounts.tokens.usecases import create_user_token, revoke_token
from ims.alerts.models import Alert, Episode
from ims.audit.models import AuditEntry
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.principal import Scope
from ims.healing.models import Decision
from ims.runs.models import Run
from ims.sources.definition import OWN_SOURCE
from ims.sources.models import Source
from ims.sources.tokens import sender_of_token
from ims.sources.usecases import add_source, create_source_token
from ims.web.pages.sources import ENDED_ROWS, PAGE_ROWS
from tests.integration.web.conftest import SignIn, token
from tests.support.context import ALICE, by

PAGE = "/admin/sources/alertmanager"


def post(client: FlaskClient, path: str, **data: object) -> tuple[int, str]:
    answer = client.post(path, data={**data, **token(client, "/account")})
    return answer.status_code, answer.text


def shown(page: str) -> tuple[str, str]:
    """Name and text of the token that a page shows."""
    found = re.search(r'<strong>(T-[0-9]+) was created\..*?value="(ims_[^"]+)"', page, re.DOTALL)
    assert found
    return found[1], found[2]


def may_send(database: Database, text: str) -> bool:
    with database.begin() as session:
        return sender_of_token(session, hash_token(text), utc_now()) is not None


def test_a_token_is_shown_once_and_nowhere_else(
    sign_in: SignIn, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    alice = sign_in("alice")
    assert "alertmanager has no tokens." in alice.get(PAGE).text
    status, page = post(alice, f"{PAGE}/tokens", label="<b>replica", lifetime="30")
    name, text = shown(page)
    assert (status, may_send(database, text)) == (200, True)
    again = alice.get(PAGE).text
    assert text not in again + alice.get("/audit").text + "".join(capfd.readouterr())
    assert name in again
    assert "&lt;b&gt;replica" in again
    with database.begin() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.object == name)).all()
    assert [(entry.action, entry.actor) for entry in entries] == [("token.created", "alice")]
    assert text not in str([entry.after for entry in entries])


def test_a_rotated_token_works_until_its_overlap_ends_and_a_revoked_one_no_more(
    sign_in: SignIn, database: Database
) -> None:
    alice = sign_in("alice")
    old_name, old = shown(post(alice, f"{PAGE}/tokens", lifetime="")[1])
    new_name, new = shown(post(alice, f"{PAGE}/tokens/{old_name}/rotate", overlap="86400")[1])
    assert "rotated, until <time" in alice.get(PAGE).text
    assert (may_send(database, old), may_send(database, new)) == (True, True)
    assert post(alice, f"{PAGE}/tokens/{new_name}/revoke")[0] == 302
    page = alice.get(PAGE).text
    assert f"{new_name} has been revoked." in page
    assert (may_send(database, old), may_send(database, new)) == (True, False)
    status, page = post(alice, f"{PAGE}/tokens/{new_name}/rotate", overlap="0")
    assert (status, "This token no longer works" in page) == (409, True)


@pytest.mark.parametrize(
    ("field", "value"), [("label", "x" * 65), ("label", "a\0b"), ("lifetime", "1"), ("lifetime", "-30")]
)
def test_an_error_of_a_new_token_is_shown_at_its_field(sign_in: SignIn, field: str, value: str) -> None:
    status, page = post(sign_in("alice"), f"{PAGE}/tokens", **{"label": "", "lifetime": "30", field: value})
    assert (status, f'id="wrong-{field}"' in page, "was created" in page) == (400, True, False)


@pytest.mark.parametrize("overlap", ["", "1", "-1", "forever"])
def test_an_error_of_a_rotation_is_shown_in_the_row_of_its_token(sign_in: SignIn, overlap: str) -> None:
    alice = sign_in("alice")
    names = [shown(post(alice, f"{PAGE}/tokens", lifetime="")[1])[0] for _ in range(2)]
    status, page = post(alice, f"{PAGE}/tokens/{names[0].lower()}/rotate", overlap=overlap)
    assert (status, page.count('id="wrong-overlap"'), page.count('<details class="menu" open>')) == (400, 1, 1)
    row = page.partition(f'id="overlap-{names[0]}"')[2].partition("</form>")[0]
    assert 'id="wrong-overlap">This must be one of the offered values' in row


def test_only_tokens_of_the_source_are_touched_by_its_page(sign_in: SignIn, database: Database) -> None:
    alice = sign_in("alice")
    with database.begin() as session:
        add_source(by(session, ALICE, utc_now()), {"name": "shop", "kind": "generic"})
        others = [
            create_source_token(by(session, ALICE, utc_now()), "shop", "").name,
            create_user_token(by(session, ALICE, utc_now()), "bob", Scope.READ, "").name,
        ]
    for name in [*others, "T-999999", "T-x", "T-" + "9" * 30]:
        assert post(alice, f"{PAGE}/tokens/{name}/rotate", overlap="0")[0] == 404, name
        assert post(alice, f"{PAGE}/tokens/{name}/revoke")[0] == 404, name
    with database.begin() as session:
        assert session.scalars(select(func.count()).where(ApiToken.expires_at.is_not(None))).one() == 0


@pytest.mark.parametrize("name", ["nobody", "a%00b", "%ED%A0%80", "x" * 3000])
def test_an_unknown_source_is_not_found(sign_in: SignIn, name: str) -> None:
    alice = sign_in("alice")
    assert alice.get(f"/admin/sources/{name}").status_code == 404
    assert post(alice, f"/admin/sources/{name}/tokens", lifetime="")[0] == 404
    assert post(alice, f"/admin/sources/{name}/tokens/T-1/rotate", overlap="0")[0] == 404
    assert post(alice, f"/admin/sources/{name}/tokens/T-1/revoke")[0] == 404


def test_the_list_says_who_is_stale_and_what_the_repair_said(sign_in: SignIn, database: Database) -> None:
    now = utc_now()
    with database.begin() as session:
        add_source(
            by(session, ALICE, now), {"name": "shop", "kind": "generic", "rate_limit": 2.5, "networks": ["192.0.2.7"]}
        )
        session.execute(
            update(Source).where(Source.name == "alertmanager").values(
                alertmanager_url="http://192.0.2.1:9093", reconciliation_problem="no_answer", reconciliation_withheld=3,
                reconciliation_withheld_reason="never_listed", stale_since=now - timedelta(hours=2),
            )
        )  # fmt: skip
    alice = sign_in("alice")
    page = alice.get("/admin/sources").text
    for result in ("Stale for", "No answer", "never succeeded", "3 withheld: never listed", "/alerts/generic",
                 "2.5 alerts/s", "1 network<", "no token"):  # fmt: skip
        assert result in page, result
    assert "http://192.0.2.1:9093" in alice.get(PAGE).text
    assert "192.0.2.7/32" in alice.get("/admin/sources/shop").text


def test_our_own_source_is_shown_and_offered_no_token(sign_in: SignIn, database: Database) -> None:
    with database.begin() as session:
        if session.get(Source, OWN_SOURCE) is None:
            session.add(Source(name=OWN_SOURCE, kind="internal", created_at=utc_now()))
    alice = sign_in("alice")
    assert "Create token" not in alice.get(f"/admin/sources/{OWN_SOURCE}").text
    status, page = post(alice, f"/admin/sources/{OWN_SOURCE}/tokens", lifetime="")
    assert (status, "it cannot have tokens" in page) == (409, True)


def test_pages_of_many_sources_and_tokens_stay_small(sign_in: SignIn, database: Database) -> None:
    now = utc_now()
    with database.begin() as session:
        for number in range(PAGE_ROWS + 3):
            add_source(by(session, ALICE, now), {"name": f"shop-{number:03}-{'x' * 50}", "kind": "alertmanager"})
        for _ in range(ENDED_ROWS + 4):
            new = create_source_token(by(session, ALICE, now - timedelta(days=2)), "alertmanager", "y" * 64)
            revoke_token(by(session, ALICE, now - timedelta(days=1)), new.name)
        create_source_token(by(session, ALICE, now), "alertmanager", "it works")
    alice = sign_in("alice")
    first, one = alice.get("/admin/sources").text, alice.get(PAGE).text
    on = re.search(r'href="([^"]+)">More sources', first)
    assert on
    rest = alice.get(on[1]).text
    assert [first.count('class="title"'), rest.count("shop-") > 0, "More sources" in rest] == [PAGE_ROWS, True, False]
    assert one.index("it works") < one.index("y" * 64)
    assert one.count("y" * 64) == ENDED_ROWS
    assert "4 more tokens have ended" in one
    shared = sum(
        len(alice.get(path, buffered=True).data) for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', first)
    )
    assert shared + max(len(first), len(one)) < 150_000
    assert "There are no more sources." in alice.get("/admin/sources?after=zzz").text


def test_without_sources_the_page_says_what_to_do(sign_in: SignIn, database: Database) -> None:
    with database.begin() as session:
        for model in (Decision, Run, Episode, Alert, Source):
            session.execute(delete(model))
    page = sign_in("alice").get("/admin/sources").text
    assert "There are no sources." in page
    assert "ims source add NAME --kind KIND" in page
