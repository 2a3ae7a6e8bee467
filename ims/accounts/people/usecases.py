"""Changes of accounts: by administrators, and by people to their own account."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken, EndedSession, UserAccount
from ims.accounts.passwords import hash_password, is_password
from ims.accounts.people.inputs import Description, NewAccount, check_password
from ims.accounts.people.queries import NoSuchAccount
from ims.accounts.people.teams import set_teams
from ims.accounts.queries import account_by_id
from ims.accounts.token_names import token_name
from ims.audit.log import differences, record
from ims.core.context import Context
from ims.core.errors import Conflict, FieldError, Forbidden, Invalid
from ims.core.principal import Account, Role
from ims.core.validation import read


class NameTaken(Conflict):
    """There is already an account with this name: choose another name."""

    def __init__(self) -> None:
        super().__init__(fields=[FieldError("name", "is taken by another account: choose another name")])


class LastAdministrator(Conflict):
    """This is the last administrator who can sign in: make another account an administrator first."""


class PasswordElsewhere(Conflict):
    """This account signs in at the identity provider: change its password there."""


class SubjectTaken(Conflict):
    """This identity belongs to another account."""


def create_account(context: Context, new: NewAccount, password: str | None) -> UserAccount:
    """Create an account; without a password it cannot sign in until one is set or an identity is linked.

    Raises `Invalid` for an unacceptable password or an unknown team, and `NameTaken`.
    """
    context.require(Role.ADMIN)
    hashed = hash_password(check_password(password)) if password is not None else None
    made = context.session.scalars(
        insert(UserAccount)
        .values(name=new.name, password_hash=hashed, role=new.role, email=new.email or None, created_at=context.now)
        .on_conflict_do_nothing(index_elements=[UserAccount.name])
        .returning(UserAccount)
    ).one_or_none()
    if made is None:
        raise NameTaken
    record(context, "user.created", new.name, after=new.model_dump(mode="json", exclude={"name"}))
    set_teams(context, made, new.teams)
    return made


def change_account(context: Context, name: str, changes: Mapping[str, Any]) -> bool:
    """Change the fields in `changes`, all or none of them; false if nothing changed.

    The fields are `role`, which ends the account's sessions, `email`, `teams` and `enabled`. Raises `Invalid`,
    `NoSuchAccount`, `LastAdministrator`.
    """
    context.require(Role.ADMIN)
    administrators = _lock_administrators(context.session)
    account = _locked_account(context.session, name)
    described = {field: changes[field] for field in Description.model_fields if field in changes}
    is_changed = bool(described) and _describe(context, account, described, administrators)
    if "teams" in changes:
        is_changed |= set_teams(context, account, changes["teams"])
    if changes.get("enabled") is True:
        is_changed |= _enable(context, account)
    if changes.get("enabled") is False:
        is_changed |= _disable(context, account, administrators)
    return is_changed


def _describe(context: Context, account: UserAccount, changes: Mapping[str, Any], administrators: set[UUID]) -> bool:
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
    record(context, "user.changed", account.name, before=before, after=after)
    context.session.flush()
    return True


def disable_account(context: Context, name: str) -> bool:
    """Disable the account and revoke its sessions and tokens; they stay revoked if it is enabled again.

    False if it was disabled before. Raises `NoSuchAccount`, `LastAdministrator`.
    """
    return change_account(context, name, {"enabled": False})


def enable_account(context: Context, name: str) -> bool:
    """Enable the account again; false if it was not disabled. Raises `NoSuchAccount`."""
    return change_account(context, name, {"enabled": True})


def _disable(context: Context, account: UserAccount, administrators: set[UUID]) -> bool:
    if account.disabled_at is not None:
        return False
    _require_another(account, administrators)
    now = context.now
    account.disabled_at = now
    account.session_generation += 1
    valid = (ApiToken.user_id == account.id) & (ApiToken.expires_at.is_(None) | (ApiToken.expires_at > now))
    ended = context.session.scalars(update(ApiToken).where(valid).values(expires_at=now).returning(ApiToken.id)).all()
    after = {"disabled": True, "tokens_ended": [token_name(token_id) for token_id in sorted(ended)]}
    record(context, "user.disabled", account.name, before={"disabled": False}, after=after)
    context.session.flush()
    return True


def _enable(context: Context, account: UserAccount) -> bool:
    if account.disabled_at is None:
        return False
    account.disabled_at = None
    record(context, "user.enabled", account.name, before={"disabled": True}, after={"disabled": False})
    context.session.flush()
    return True


def set_password(context: Context, name: str, password: str) -> None:
    """Set the account's password, which ends its sessions.

    Raises `Invalid`, `NoSuchAccount`, and `PasswordElsewhere`: with a password in IMS a person could sign in whom the
    identity provider no longer lets in.
    """
    context.require(Role.ADMIN)
    _set_password(context, _locked_account(context.session, name), password)


def change_own_password(context: Context, present: str, wanted: str) -> Account:
    """Change the principal's own password, which ends all its sessions; returns the account, to begin a new session.

    Raises `Invalid` for a wrong present or an unacceptable new password, and `PasswordElsewhere`.
    """
    account = _own_account(context)
    if account.oidc_subject is None and not is_password(account.password_hash or "", present):
        raise Invalid(fields=[FieldError("present", "is not your present password")])
    _set_password(context, account, wanted)
    mine = account_by_id(context.session, account.id)
    if mine is None:
        raise Forbidden
    return mine


def _set_password(context: Context, account: UserAccount, password: str) -> None:
    check_password(password)
    if account.oidc_subject is not None:
        raise PasswordElsewhere
    account.password_hash = hash_password(password)
    account.session_generation += 1
    record(context, "user.password_set", account.name)
    context.session.flush()


def link_identity(context: Context, name: str, issuer: str, subject: str) -> bool:
    """Link the account to this identity at the provider; it can then no longer sign in by password.

    False if it is linked already. Raises `NoSuchAccount`, `SubjectTaken`.
    """
    context.require(Role.ADMIN)
    account = _locked_account(context.session, name)
    if (account.oidc_issuer, account.oidc_subject) == (issuer, subject):
        return False
    holder = select(UserAccount.id).where(UserAccount.oidc_issuer == issuer, UserAccount.oidc_subject == subject)
    if context.session.scalar(holder) is not None:
        raise SubjectTaken
    before = {"issuer": account.oidc_issuer, "subject": account.oidc_subject}
    account.oidc_issuer, account.oidc_subject, account.password_hash = issuer, subject, None
    account.session_generation += 1
    record(context, "user.linked", name, before=before, after={"issuer": issuer, "subject": subject})
    context.session.flush()
    return True


def end_sessions(context: Context, name: str) -> None:
    """Sign the account out everywhere, by a new session generation. Raises `NoSuchAccount`."""
    context.require(Role.ADMIN)
    _end_sessions(context, _locked_account(context.session, name))


def end_session(context: Context, session_id: UUID) -> None:
    """End one of the principal's sessions, so that nobody can use a copy of its cookie."""
    context.require(Role.VIEWER)
    values = {"id": session_id, "ended_at": context.now}
    if context.session.scalar(insert(EndedSession).values(values).on_conflict_do_nothing().returning(EndedSession.id)):
        record(context, "user.signed_out", context.principal.name)


def end_own_sessions(context: Context) -> None:
    """Sign the principal's own account out everywhere."""
    _end_sessions(context, _own_account(context))


def _end_sessions(context: Context, account: UserAccount) -> None:
    account.session_generation += 1
    record(context, "user.signed_out_everywhere", account.name)
    context.session.flush()


def _own_account(context: Context) -> UserAccount:
    """The principal's own account, locked. Raises `Forbidden` for principals without one, and `ScopeTooNarrow`."""
    context.require(Role.VIEWER)
    wanted = select(UserAccount).where(UserAccount.id == context.principal.account).with_for_update()
    return context.session.scalars(wanted.execution_options(populate_existing=True)).one()


def _locked_account(session: Session, name: str) -> UserAccount:
    """An account, locked against concurrent changes. Raises `NoSuchAccount`."""
    query = select(UserAccount).where(UserAccount.name == name).with_for_update()
    found = session.scalars(query.execution_options(populate_existing=True)).one_or_none() if "\0" not in name else None
    if found is None:
        raise NoSuchAccount
    return found


def _lock_administrators(session: Session) -> set[UUID]:
    """Lock the administrators who can sign in until the transaction ends, and return their ids.

    Without the lock, two administrators who demote each other at once would each see the other one as remaining. The
    rows are locked in one order, and before the account itself, so that there is no deadlock.
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
