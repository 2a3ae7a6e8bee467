"""Accounts and teams: allowed changes, and invariants."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.accounts.models import UserAccount
from ims.accounts.people.inputs import NewAccount, NewTeam
from ims.accounts.people.queries import NoSuchAccount, NoSuchTeam, all_teams, people, person
from ims.accounts.people.teams import create_team, join_team, leave_team, remove_team, set_teams
from ims.accounts.people.usecases import (
    LastAdministrator,
    NameTaken,
    PasswordElsewhere,
    change_account,
    change_own_password,
    create_account,
    disable_account,
    enable_account,
    end_own_sessions,
    end_sessions,
    link_identity,
    set_password,
)
from ims.accounts.queries import account_by_id
from ims.accounts.usecases import sign_in
from ims.audit.models import AuditEntry
from ims.core.db.engine import Database
from ims.core.errors import Invalid
from ims.core.principal import Role
from ims.core.validation import read
from tests.support.context import ALICE, by, by_account, by_ims
from tests.support.notifications import NOW

PASSWORD = "correct horse battery"


@pytest.fixture
def bob(session: Session) -> UserAccount:
    create_account(by(session, ALICE, NOW), NewAccount(name="alice", role=Role.ADMIN), PASSWORD)
    return create_account(by(session, ALICE, NOW), NewAccount(name="bob", email="bob@example.org"), PASSWORD)


def audited(session: Session) -> list[str]:
    return [f"{one.action} {one.object}" for one in session.scalars(select(AuditEntry).order_by(AuditEntry.id))]


def signs_in(session: Session, name: str, password: str = PASSWORD) -> bool:
    return sign_in(by_ims(session, NOW), name, password) is not None


def test_a_new_account_signs_in_and_its_password_stands_nowhere(session: Session, bob: UserAccount) -> None:
    assert signs_in(session, "bob")
    assert [one.name for one in people(session)] == ["alice", "bob"]
    stored = repr(session.execute(select(UserAccount.__table__)).all()) + repr(
        [(one.before, one.after) for one in session.scalars(select(AuditEntry))]
    )
    assert PASSWORD not in stored
    with pytest.raises(NameTaken):
        create_account(by(session, ALICE, NOW), NewAccount(name="bob"), PASSWORD)


@pytest.mark.parametrize("name", ["", "Bob", "-bob", "bob smith", "b\0b", "bob\n", "x" * 129, "böb", "../bob"])
def test_a_name_is_one_that_fits_everywhere(name: str) -> None:
    given = {"name": name} if name != "bob\n" else {"name": "bo\nb"}
    with pytest.raises(Invalid) as refused:
        read(NewAccount, given)
    assert [wrong.field for wrong in refused.value.fields] == ["name"]


@pytest.mark.parametrize("password", ["", "eleven char", "x" * 257, "twelve \ud800 characters"])
def test_a_password_is_long_enough_and_text(session: Session, bob: UserAccount, password: str) -> None:
    with pytest.raises(Invalid) as refused:
        set_password(by(session, ALICE, NOW), "bob", password)
    assert refused.value.fields[0].field == "password"
    assert signs_in(session, "bob")


def test_every_change_that_matters_ends_the_sessions(session: Session, bob: UserAccount) -> None:
    def generation() -> int:
        session.expire_all()
        return session.get_one(UserAccount, bob.id).session_generation

    changes: list[Callable[[], object]] = [
        lambda: end_own_sessions(by_account(session, "bob", NOW)),
        lambda: set_password(by(session, ALICE, NOW), "bob", "another long password"),
        lambda: change_own_password(by_account(session, "bob", NOW), "another long password", PASSWORD),
        lambda: change_account(by(session, ALICE, NOW), "bob", {"role": "viewer"}),
        lambda: disable_account(by(session, ALICE, NOW), "bob"),
        lambda: end_sessions(by(session, ALICE, NOW), "bob"),
        lambda: link_identity(by(session, ALICE, NOW), "bob", "https://id.example", "0815"),
    ]
    for change in changes:
        before = generation()
        change()
        assert generation() > before
    before = generation()
    assert change_account(by(session, ALICE, NOW), "bob", {"email": "b@example.org"})
    assert not change_account(by(session, ALICE, NOW), "bob", {"email": "b@example.org"})
    assert generation() == before


def test_changing_a_password_requires_the_present_one(session: Session, bob: UserAccount) -> None:
    with pytest.raises(Invalid) as refused:
        change_own_password(by_account(session, "bob", NOW), "not the password", "another long password")
    assert refused.value.fields[0].field == "present"
    assert signs_in(session, "bob")


def test_a_disabled_account_cannot_sign_in_until_it_is_enabled(session: Session, bob: UserAccount) -> None:
    assert disable_account(by(session, ALICE, NOW), "bob")
    assert not disable_account(by(session, ALICE, NOW), "bob")
    assert account_by_id(session, bob.id) is None
    assert not signs_in(session, "bob")
    assert enable_account(by(session, ALICE, NOW), "bob")
    assert not enable_account(by(session, ALICE, NOW), "bob")
    assert signs_in(session, "bob")


def test_an_account_of_the_identity_provider_has_no_password_here(session: Session, bob: UserAccount) -> None:
    assert link_identity(by(session, ALICE, NOW), "bob", "https://id.example", "0815")
    assert not link_identity(by(session, ALICE, NOW), "bob", "https://id.example", "0815")
    assert not signs_in(session, "bob")
    with pytest.raises(PasswordElsewhere):
        set_password(by(session, ALICE, NOW), "bob", PASSWORD)


@pytest.mark.parametrize("name", ["bob", "disabled", "oidc", "nobody", "nobody's name that is no name"])
def test_every_failed_sign_in_costs_one_comparison(
    session: Session, bob: UserAccount, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """So the time of a response reveals nothing about the account."""
    for other in ("disabled", "oidc"):
        create_account(by(session, ALICE, NOW), NewAccount(name=other), PASSWORD)
    disable_account(by(session, ALICE, NOW), "disabled")
    link_identity(by(session, ALICE, NOW), "oidc", "https://id.example", "0815")
    compared: list[str] = []
    monkeypatch.setattr("ims.accounts.usecases.is_password", lambda stored, _: bool(compared.append(stored)))
    assert not signs_in(session, name, "not the password")
    assert [stored.split("$")[1:4] for stored in compared] == [["argon2id", "v=19", "m=65536,t=3,p=4"]]


def test_a_refused_name_stands_in_the_audit_log_only_if_it_is_one(session: Session, bob: UserAccount) -> None:
    signs_in(session, "bob", "wrong")
    signs_in(session, PASSWORD, "bob")
    assert audited(session)[-2:] == ["user.sign_in_failed bob", "user.sign_in_failed unknown"]


def test_the_last_administrator_stays(session: Session, bob: UserAccount) -> None:
    def take_away() -> list[type[Exception]]:
        return [
            refused(lambda: disable_account(by(session, ALICE, NOW), "alice")),
            refused(lambda: change_account(by(session, ALICE, NOW), "alice", {"role": "responder"})),
        ]

    def refused(change: Callable[[], object]) -> type[Exception]:
        with pytest.raises(LastAdministrator) as raised, session.begin_nested():
            change()
        return raised.type

    assert take_away() == [LastAdministrator] * 2
    # A disabled administrator does not count as a remaining one.
    change_account(by(session, ALICE, NOW), "bob", {"role": "admin"})
    disable_account(by(session, ALICE, NOW), "bob")
    assert take_away() == [LastAdministrator] * 2
    enable_account(by(session, ALICE, NOW), "bob")
    assert disable_account(by(session, ALICE, NOW), "alice")


def test_of_two_administrators_who_demote_each_other_at_once_one_remains(database: Database) -> None:
    names = ("alice", "bob", "charlie")
    with database.begin() as session:
        for name in names:
            create_account(by(session, ALICE, NOW), NewAccount(name=name, role=Role.ADMIN), None)
    results: list[object] = []
    start = threading.Barrier(len(names))

    def send_away(name: str) -> None:
        start.wait()
        try:
            with database.begin() as session:
                if name == "bob":
                    results.append(change_account(by(session, ALICE, NOW), name, {"role": "viewer"}))
                else:
                    results.append(disable_account(by(session, ALICE, NOW), name))
        except LastAdministrator:
            results.append("refused")

    for _ in range(5):
        threads = [threading.Thread(target=send_away, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, results)) == ["True", "True", "refused"]
        results.clear()
        with database.begin() as session:
            left = [one.name for one in people(session) if one.role is Role.ADMIN and one.disabled_at is None]
            assert len(left) == 1
            for name in names:
                enable_account(by(session, ALICE, NOW), name)
                change_account(by(session, ALICE, NOW), name, {"role": "admin"})


def test_teams_and_their_members(session: Session, bob: UserAccount) -> None:
    assert create_team(by(session, ALICE, NOW), NewTeam(name="payments"))
    assert not create_team(by(session, ALICE, NOW), NewTeam(name="payments"))
    assert join_team(by(session, ALICE, NOW), "payments", "bob")
    assert not join_team(by(session, ALICE, NOW), "payments", "bob")
    assert [(one.name, one.members) for one in all_teams(session)] == [("payments", ("bob",))]
    asked = account_by_id(session, bob.id)
    assert asked is not None
    assert asked.teams == {"payments"}
    assert leave_team(by(session, ALICE, NOW), "payments", "bob")
    assert set_teams(by(session, ALICE, NOW), bob, ["payments"])
    assert person(session, "bob").teams == ("payments",)
    with pytest.raises(Invalid):
        set_teams(by(session, ALICE, NOW), bob, ["payments", "no such team"])
    remove_team(by(session, ALICE, NOW), "payments")
    with pytest.raises(NoSuchTeam):
        remove_team(by(session, ALICE, NOW), "payments")
    assert person(session, "bob").teams == ()


def test_every_change_stands_in_the_audit_log_and_no_other(session: Session, bob: UserAccount) -> None:
    create_team(by(session, ALICE, NOW), NewTeam(name="payments"))
    for _ in range(2):
        set_teams(by(session, ALICE, NOW), bob, ["payments"])
        change_account(by(session, ALICE, NOW), "bob", {"role": "viewer"})
        disable_account(by(session, ALICE, NOW + timedelta(seconds=1)), "bob")
    assert audited(session) == [
        "user.created alice", "user.created bob", "team.created payments", "team.joined payments",
        "user.changed bob", "user.disabled bob",
    ]  # fmt: skip
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "user.changed")).one()
    assert (entry.before, entry.after, entry.address) == ({"role": "responder"}, {"role": "viewer"}, "192.0.2.7")


def test_an_unknown_account_is_reported(session: Session) -> None:
    for name in ("nobody", "no\0body"):
        with pytest.raises(NoSuchAccount):
            person(session, name)
        with pytest.raises(NoSuchAccount):
            disable_account(by(session, ALICE, NOW), name)
