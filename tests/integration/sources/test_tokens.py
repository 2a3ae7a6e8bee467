"""Tokens: a secret shown once, overlap on rotation, an end at once."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken
from ims.accounts.passwords import hash_token
from ims.alerts.models import Source
from ims.errors import Conflict, NotFound
from ims.sources.tokens import (
    NewToken,
    Sender,
    TokenEnded,
    create_token,
    revoke_token,
    rotate_token,
    sender_of_token,
)
from tests.support.notices import NOW, SOURCE, add_source, at


def sender(session: Session, token: NewToken, seconds: float = 0) -> Sender | None:
    return sender_of_token(session, hash_token(token.text), at(seconds))


@pytest.fixture
def token(session: Session) -> NewToken:
    add_source(session)
    return create_token(session, SOURCE, "the shop's Alertmanager", NOW)


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
    new = rotate_token(session, token.id, timedelta(hours=1), NOW)
    assert new.id != token.id
    assert sender(session, token, 3599) is not None
    assert sender(session, token, 3600) is None
    assert sender(session, new, 1e9) is not None
    labels = set(session.scalars(select(ApiToken.label)))
    assert labels == {"the shop's Alertmanager"}


def test_a_rotation_never_lets_a_token_live_longer(session: Session) -> None:
    add_source(session)
    short = create_token(session, SOURCE, "", NOW, lifetime=timedelta(minutes=5))
    rotate_token(session, short.id, timedelta(hours=1), NOW)
    assert sender(session, short, 299) is not None
    assert sender(session, short, 300) is None


def test_a_revoked_token_ends_at_once_and_has_no_successor(session: Session, token: NewToken) -> None:
    assert revoke_token(session, token.id, NOW) is True
    assert revoke_token(session, token.id, at(5)) is False
    assert sender(session, token) is None
    with pytest.raises(TokenEnded):
        rotate_token(session, token.id, timedelta(hours=1), at(5))
    with pytest.raises(NotFound):
        revoke_token(session, 4711, NOW)


def test_nobody_sends_for_our_own_source(session: Session) -> None:
    session.add(Source(name="ims", kind="internal", created_at=NOW))
    with pytest.raises(Conflict):
        create_token(session, "ims", "", NOW)


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
