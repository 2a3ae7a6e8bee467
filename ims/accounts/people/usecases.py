"""What happens to accounts. The caller owns the transaction; the audit entry is part of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken, UserAccount
from ims.accounts.passwords import hash_password, is_password
from ims.accounts.people.inputs import Description, NewAccount, check_password
from ims.accounts.people.queries import NoSuchAccount
from ims.accounts.people.teams import set_teams
from ims.audit.log import differences, record
from ims.core.context import Origin
from ims.core.errors import Conflict, FieldError, Invalid
from ims.core.principal import Role
from ims.core.validation import read


class NameTaken(Conflict):
    """There is already an account of this name: choose another one."""

    def __init__(self) -> None:
        super().__init__(fields=[FieldError("name", "is taken by another account: choose another one")])


class LastAdministrator(Conflict):
    """This is the last administrator who may sign in: make somebody else administrator first."""


class PasswordElsewhere(Conflict):
    """This account signs in at the identity provider: its password is changed there."""


class SubjectTaken(Conflict):
    """This identity belongs to another account."""


def create_account(
    session: Session, new: NewAccount, password: str | None, origin: Origin, now: datetime
) -> UserAccount:
    """Make an account; without a password nobody can sign in to it until one is set or an identity is linked.

    Raises `Invalid` for a password that is none or a team that does not exist, and `NameTaken`.
    """
    hashed = hash_password(check_password(password)) if password is not None else None
    made = session.scalars(
        insert(UserAccount)
        .values(name=new.name, password_hash=hashed, role=new.role, email=new.email or None, created_at=now)
        .on_conflict_do_nothing(index_elements=[UserAccount.name])
        .returning(UserAccount)
    ).one_or_none()
    if made is None:
        raise NameTaken
    record(session, origin, "user.created", new.name, now, after=new.model_dump(mode="json", exclude={"name"}))
    set_teams(session, made, new.teams, origin, now)
    return made


def change_account(session: Session, name: str, changes: Mapping[str, Any], origin: Origin, now: datetime) -> bool:
    """Change role and address as far as `changes` names them; false if nothing is different.

    A new role ends the account's sessions. Raises `Invalid`, `NoSuchAccount`, `LastAdministrator`.
    """
    administrators = _lock_administrators(session)
    account = locked_account(session, name)
    present = Description.model_construct(role=Role(account.role), email=account.email or "").model_dump(mode="json")
    wanted = read(Description, {**present, **changes})
    before, after = differences(present, wanted.model_dump(mode="json"))
    if not after:
        return False
    if "role" in after:
        if wanted.role is not Role.ADMIN:
            _require_another(account, administrators)
        account.session_generation += 1
    account.role, account.email = wanted.role, wanted.email or None
    record(session, origin, "user.changed", name, now, before=before, after=after)
    session.flush()
    return True


def disable_account(session: Session, name: str, origin: Origin, now: datetime) -> bool:
    """Let nobody in by this account any more: its sessions and tokens end now, and stay ended if it is enabled again.

    False if it was disabled before. Raises `NoSuchAccount`, `LastAdministrator`.
    """
    administrators = _lock_administrators(session)
    account = locked_account(session, name)
    if account.disabled_at is not None:
        return False
    _require_another(account, administrators)
    account.disabled_at = now
    account.session_generation += 1
    valid = (ApiToken.user_id == account.id) & (ApiToken.expires_at.is_(None) | (ApiToken.expires_at > now))
    ended = session.scalars(update(ApiToken).where(valid).values(expires_at=now).returning(ApiToken.id)).all()
    after = {"disabled": True, "tokens_ended": [f"T-{token_id}" for token_id in sorted(ended)]}
    record(session, origin, "user.disabled", name, now, before={"disabled": False}, after=after)
    session.flush()
    return True


def enable_account(session: Session, name: str, origin: Origin, now: datetime) -> bool:
    """Let the account in again; false if it was not disabled. Raises `NoSuchAccount`."""
    account = locked_account(session, name)
    if account.disabled_at is None:
        return False
    account.disabled_at = None
    record(session, origin, "user.enabled", name, now, before={"disabled": True}, after={"disabled": False})
    session.flush()
    return True


def set_password(session: Session, name: str, password: str, origin: Origin, now: datetime) -> None:
    """Give the account another password, which ends its sessions.

    Raises `Invalid`, `NoSuchAccount`, and `PasswordElsewhere`: a password here would let somebody in whom the identity
    provider has sent away.
    """
    check_password(password)
    account = locked_account(session, name)
    if account.oidc_subject is not None:
        raise PasswordElsewhere
    account.password_hash = hash_password(password)
    account.session_generation += 1
    record(session, origin, "user.password_set", name, now)
    session.flush()


def change_own_password(
    session: Session, name: str, present: str, wanted: str, origin: Origin, now: datetime
) -> UserAccount:
    """Change the password of whoever knows the present one. Raises `Invalid` and `PasswordElsewhere`."""
    account = locked_account(session, name)
    if account.oidc_subject is None and not is_password(account.password_hash or "", present):
        raise Invalid(fields=[FieldError("present", "is not your present password")])
    set_password(session, name, wanted, origin, now)
    return account


def link_identity(session: Session, name: str, issuer: str, subject: str, origin: Origin, now: datetime) -> bool:
    """Let the account sign in as this person of the identity provider and no longer by a password here.

    False if it does already. Raises `NoSuchAccount`, `SubjectTaken`.
    """
    account = locked_account(session, name)
    if (account.oidc_issuer, account.oidc_subject) == (issuer, subject):
        return False
    holder = select(UserAccount.id).where(UserAccount.oidc_issuer == issuer, UserAccount.oidc_subject == subject)
    if session.scalar(holder) is not None:
        raise SubjectTaken
    before = {"issuer": account.oidc_issuer, "subject": account.oidc_subject}
    account.oidc_issuer, account.oidc_subject, account.password_hash = issuer, subject, None
    account.session_generation += 1
    record(session, origin, "user.linked", name, now, before=before, after={"issuer": issuer, "subject": subject})
    session.flush()
    return True


def end_sessions(session: Session, name: str, origin: Origin, now: datetime) -> None:
    """Sign the account out everywhere: sessions of the generation before are not accepted. Raises `NoSuchAccount`."""
    locked_account(session, name).session_generation += 1
    record(session, origin, "user.signed_out_everywhere", name, now)
    session.flush()


def locked_account(session: Session, name: str) -> UserAccount:
    """An account that nobody else changes meanwhile. Raises `NoSuchAccount`."""
    query = select(UserAccount).where(UserAccount.name == name).with_for_update()
    found = session.scalars(query.execution_options(populate_existing=True)).one_or_none() if "\0" not in name else None
    if found is None:
        raise NoSuchAccount
    return found


def _lock_administrators(session: Session) -> set[UUID]:
    """Ids of the administrators who may sign in, none of whom anybody else can change until we are done.

    Two who demote each other at once would each see the other one as the administrator who remains. They are locked
    in one order, and before the account itself, so that nobody waits in a circle.
    """
    query = (
        select(UserAccount.id)
        .where(UserAccount.role == Role.ADMIN, UserAccount.disabled_at.is_(None))
        .order_by(UserAccount.id)
        .with_for_update()
    )
    return set(session.scalars(query))


def _require_another(account: UserAccount, administrators: set[UUID]) -> None:
    if administrators == {account.id}:
        raise LastAdministrator
