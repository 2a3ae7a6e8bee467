"""What happens to accounts: what administrators do, and what whoever has one does with their own."""

from collections.abc import Mapping
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
from ims.accounts.queries import account_by_id
from ims.accounts.token_names import token_name
from ims.audit.log import differences, record
from ims.core.context import Context
from ims.core.errors import Conflict, FieldError, Forbidden, Invalid
from ims.core.principal import Account, Role
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


def create_account(context: Context, new: NewAccount, password: str | None) -> UserAccount:
    """Make an account; without a password nobody can sign in to it until one is set or an identity is linked.

    Raises `Invalid` for a password that is none or a team that does not exist, and `NameTaken`.
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
    """Change what `changes` names, all of it or nothing; false if nothing is different.

    It may name `role`, which ends the account's sessions, `email`, `teams` and `enabled`. Raises `Invalid`,
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
    """Give the account another password, which ends its sessions.

    Raises `Invalid`, `NoSuchAccount`, and `PasswordElsewhere`: a password here would let somebody in whom the identity
    provider has sent away.
    """
    context.require(Role.ADMIN)
    _set_password(context, _locked_account(context.session, name), password)


def change_own_password(context: Context, present: str, wanted: str) -> Account:
    """Change one's own password, which ends all sessions; the account, with which a new one can begin.

    Raises `Invalid` for a wrong present one and for one that is none, and `PasswordElsewhere`.
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
    """Let the account sign in as this person of the identity provider and no longer by a password here.

    False if it does already. Raises `NoSuchAccount`, `SubjectTaken`.
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
    """Sign the account out everywhere: sessions of the generation before are not accepted. Raises `NoSuchAccount`."""
    context.require(Role.ADMIN)
    _end_sessions(context, _locked_account(context.session, name))


def end_own_sessions(context: Context) -> None:
    """Sign oneself out everywhere."""
    _end_sessions(context, _own_account(context))


def _end_sessions(context: Context, account: UserAccount) -> None:
    account.session_generation += 1
    record(context, "user.signed_out_everywhere", account.name)
    context.session.flush()


def _own_account(context: Context) -> UserAccount:
    """The account of whoever asks, locked. Raises `Forbidden` for who has none, and `ScopeTooNarrow`."""
    context.require(Role.VIEWER)
    wanted = select(UserAccount).where(UserAccount.id == context.principal.account).with_for_update()
    return context.session.scalars(wanted.execution_options(populate_existing=True)).one()


def _locked_account(session: Session, name: str) -> UserAccount:
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
