"""Tokens: a secret shown once, overlap on rotation, an end at once."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.accounts.passwords import hash_token
from ims.accounts.people.inputs import NewAccount
from ims.accounts.people.usecases import change_account, create_account, disable_account, enable_account
from ims.accounts.queries import principal_of_token
from ims.accounts.token_names import token_id
from ims.accounts.tokens.usecases import (
    NewToken,
    TokenEnded,
    create_own_token,
    create_user_token,
    revoke_own_token,
    revoke_token,
    rotate_own_token,
    rotate_token,
)
from ims.core.context import ScopeTooNarrow
from ims.core.errors import Conflict, Invalid, NotFound
from ims.core.principal import Scope
from ims.sources.models import Source
from ims.sources.tokens import Sender, sender_of_token
from ims.sources.usecases import create_source_token
from tests.support.context import ALICE, by, by_account
from tests.support.notifications import NOW, SOURCE, add_source, at


def sender(session: Session, token: NewToken, seconds: float = 0) -> Sender | None:
    return sender_of_token(session, hash_token(token.text), at(seconds))


@pytest.fixture
def token(session: Session) -> NewToken:
    add_source(session)
    return create_source_token(by(session, ALICE, NOW), SOURCE, "the shop's Alertmanager")


def test_a_token_proves_its_source_and_what_it_may(session: Session, token: NewToken) -> None:
    source = session.get_one(Source, SOURCE)
    source.networks, source.rate_limit = ["10.0.0.0/8"], 5
    session.flush()
    proved = sender(session, token)
    assert proved is not None
    assert (proved.name, proved.kind, proved.rate_limit) == (SOURCE, "alertmanager", 5)
    assert [str(network) for network in proved.networks] == ["10.0.0.0/8"]
    assert sender_of_token(session, hash_token(token.text + "x"), NOW) is None


def test_only_the_hash_is_kept(session: Session, token: NewToken) -> None:
    stored = session.execute(select(ApiToken.__table__)).one()
    assert token.text not in repr(stored)
    assert stored.hash == hash_token(token.text)
    assert len(token.text) > 40


def test_after_a_rotation_both_work_until_the_overlap_ends(session: Session, token: NewToken) -> None:
    new = rotate_token(by(session, ALICE, NOW), token.name, timedelta(hours=1))
    assert new.id != token.id
    assert sender(session, token, 3599) is not None
    assert sender(session, token, 3600) is None
    assert sender(session, new, 1e9) is not None
    labels = set(session.scalars(select(ApiToken.label)))
    assert labels == {"the shop's Alertmanager"}


def test_a_rotation_never_lets_a_token_live_longer(session: Session) -> None:
    add_source(session)
    short = create_source_token(by(session, ALICE, NOW), SOURCE, "", lifetime=timedelta(minutes=5))
    rotate_token(by(session, ALICE, NOW), short.name, timedelta(hours=1))
    assert sender(session, short, 299) is not None
    assert sender(session, short, 300) is None


def test_a_revoked_token_ends_at_once_and_has_no_successor(session: Session, token: NewToken) -> None:
    assert revoke_token(by(session, ALICE, NOW), token.name) is True
    assert revoke_token(by(session, ALICE, at(5)), token.name) is False
    assert sender(session, token) is None
    with pytest.raises(TokenEnded):
        rotate_token(by(session, ALICE, at(5)), token.name, timedelta(hours=1))
    with pytest.raises(NotFound):
        revoke_token(by(session, ALICE, NOW), "T-4711")


def test_no_token_can_be_created_for_the_built_in_source(session: Session) -> None:
    session.add(Source(name="ims", kind="internal", created_at=NOW))
    with pytest.raises(Conflict):
        create_source_token(by(session, ALICE, NOW), "ims", "")


def test_a_disabled_source_has_no_valid_token(session: Session, token: NewToken) -> None:
    session.get_one(Source, SOURCE).disabled_at = NOW
    session.flush()
    assert sender(session, token) is None


def test_the_last_use_is_written_once_a_minute_at_most(session: Session, token: NewToken) -> None:
    def used() -> object:
        session.expire_all()
        return session.scalars(select(ApiToken.last_used_at)).one()

    for seconds, written in ((0, 0), (59, 0), (61, 61), (100, 61)):
        sender(session, token, seconds)
        assert used() == at(written)


@pytest.fixture
def bob(session: Session) -> str:
    create_account(by(session, ALICE, NOW), NewAccount(name="bob"), None)
    return "bob"


def scope_of(session: Session, token: NewToken, seconds: float = 0) -> Scope | None:
    principal = principal_of_token(session, hash_token(token.text), at(seconds))
    return principal.scope if principal else None


def test_a_person_s_token_acts_for_them_within_its_scope(session: Session, bob: str) -> None:
    token = create_user_token(by(session, ALICE, NOW), bob, Scope.READ, "the dashboard")
    principal = principal_of_token(session, hash_token(token.text), NOW)
    assert principal is not None
    assert (principal.name, principal.scope, principal.actor.name) == ("bob", Scope.READ, f"bob ({token.name})")
    assert sender(session, token) is None


@pytest.mark.parametrize(("role", "beyond"), [("viewer", Scope.WRITE), ("responder", Scope.ADMIN)])
def test_a_token_is_never_made_beyond_its_account_s_role(session: Session, bob: str, role: str, beyond: Scope) -> None:
    change_account(by(session, ALICE, NOW), "bob", {"role": role})
    with pytest.raises(Invalid) as refused:
        create_user_token(by(session, ALICE, NOW), bob, beyond, "")
    assert refused.value.fields[0].field == "scope"


def test_disabling_an_account_ends_its_tokens_for_good(session: Session, bob: str) -> None:
    create_account(by(session, ALICE, NOW), NewAccount(name="alice", role="admin"), None)
    token = create_user_token(by(session, ALICE, NOW), bob, Scope.WRITE, "")
    disable_account(by(session, ALICE, at(1)), bob)
    assert scope_of(session, token, 2) is None
    with pytest.raises(NotFound):
        create_user_token(by(session, ALICE, at(2)), bob, Scope.READ, "")
    enable_account(by(session, ALICE, at(3)), bob)
    assert scope_of(session, token, 4) is None


def test_a_successor_keeps_owner_scope_and_lifetime(session: Session, bob: str) -> None:
    token = create_user_token(by(session, ALICE, NOW), bob, Scope.WRITE, "cron", lifetime=timedelta(hours=2))
    for _ in range(2):
        new = rotate_token(by(session, ALICE, at(3600)), token.name, timedelta(minutes=10))
        assert [scope_of(session, new, seconds) for seconds in (3600, 10799, 10801)] == [Scope.WRITE, Scope.WRITE, None]
    assert scope_of(session, token, 4201) is None


@pytest.mark.parametrize("label", ["x" * 65, "two\nlines", "\0"])
def test_a_label_is_one_short_line(session: Session, bob: str, label: str) -> None:
    with pytest.raises(Invalid):
        create_user_token(by(session, ALICE, NOW), bob, Scope.READ, label)


@pytest.mark.parametrize("seconds", [0, -5, 1e9])
def test_a_lifetime_must_be_positive_and_bounded(session: Session, bob: str, seconds: float) -> None:
    with pytest.raises(Invalid):
        create_user_token(by(session, ALICE, NOW), bob, Scope.READ, "", lifetime=timedelta(seconds=seconds))


def test_an_account_cannot_reach_the_token_of_another_account(session: Session, bob: str) -> None:
    create_account(by(session, ALICE, NOW), NewAccount(name="charlie"), None)
    token = create_user_token(by(session, ALICE, NOW), bob, Scope.READ, "")
    with pytest.raises(NotFound):
        revoke_own_token(by_account(session, "charlie", NOW), token.name)
    with pytest.raises(NotFound):
        rotate_own_token(by_account(session, "charlie", NOW), token.name, timedelta())
    with pytest.raises(NotFound):
        revoke_token(by(session, ALICE, NOW), token.name, user="charlie")


def test_a_token_cannot_create_one_with_a_wider_scope(session: Session, bob: str) -> None:
    wide = create_own_token(by_account(session, bob, NOW), Scope.WRITE, "by a session")
    with pytest.raises(ScopeTooNarrow):
        create_own_token(by_account(session, bob, NOW, Scope.READ, "T-1"), Scope.READ, "")
    change_account(by(session, ALICE, NOW), bob, {"role": "admin"})
    admin = create_own_token(by_account(session, bob, NOW), Scope.ADMIN, "")
    writer = by_account(session, bob, NOW, Scope.WRITE, wide.name)
    for refused in (
        lambda: create_own_token(writer, Scope.ADMIN, ""),
        lambda: rotate_own_token(writer, admin.name, timedelta()),
        lambda: create_user_token(writer, bob, Scope.READ, ""),
    ):
        with pytest.raises(ScopeTooNarrow):
            refused()
    assert rotate_own_token(writer, wide.name, timedelta()).id > admin.id


@pytest.mark.parametrize("name", ["", "T-", "x", "T-99999999999999999999", "²", "-1", "9223372036854775808"])
def test_an_invalid_token_name_is_not_found(name: str) -> None:
    with pytest.raises(NotFound):
        token_id(name)
