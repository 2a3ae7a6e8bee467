"""Sign-in of people whom the identity provider has authenticated."""

import shlex
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.accounts.models import Membership, UserAccount
from ims.accounts.oidc.claims import Identity, Rules
from ims.accounts.oidc.errors import (
    AccountDisabled,
    GroupsLeftOut,
    NameBelongsToAnother,
    NameUnusable,
    NoGroup,
    SignInRefused,
)
from ims.accounts.people.inputs import NewAccount, NewTeam
from ims.accounts.people.teams import create_team, set_teams
from ims.accounts.people.usecases import LastAdministrator, change_account
from ims.accounts.queries import account_by_id
from ims.audit.log import record
from ims.core.actors import Actor, ActorKind
from ims.core.context import Context
from ims.core.errors import Invalid
from ims.core.principal import Account, Principal, Role
from ims.core.validation import read

PROVIDER: Final = Principal(Actor(ActorKind.SYSTEM, "identity provider"), "identity provider", Role.ADMIN)
"""The principal that creates accounts and changes roles and teams at a sign-in."""


def admit(context: Context, identity: Identity, rules: Rules) -> Account:
    """The account of this person, created at the first sign-in; every sign-in updates role and teams by the groups.

    If the provider left the groups out, role and teams stay, and the account says since when.
    The context's principal is IMS, since no account is signed in yet. Raises a `SignInRefused` with reason and remedy.
    """
    is_unknown = identity.are_groups_missing
    role = None if is_unknown else rules.role_of(identity.groups)
    if rules.decide_roles and role is None and not is_unknown:
        raise NoGroup
    by_provider = context.acting_as(PROVIDER)
    account = _known(context.session, identity) or _make(
        by_provider, identity, rules.least_role if is_unknown else role
    )
    if account.disabled_at is not None:
        raise AccountDisabled
    _follow(by_provider, account, identity, role if rules.decide_roles else None)
    if not is_unknown:
        _follow_teams(by_provider, account, identity, rules)
    _note_missing_groups(by_provider, account, is_missing=is_unknown and bool(rules.roles or rules.teams))
    context.session.flush()
    admitted = account_by_id(context.session, account.id)
    if admitted is None:
        raise AccountDisabled
    record(context.acting_as(Principal.of_account(admitted)), "user.signed_in", admitted.name, after={"by": "oidc"})
    return admitted


def record_refusal(context: Context, identity: Identity, refused: SignInRefused) -> None:
    """Record in the audit log that a person whom the provider authenticated could not sign in."""
    after = {"by": "oidc", "subject": identity.subject, "reason": type(refused).__name__}
    record(context.acting_as(PROVIDER), "user.sign_in_failed", identity.name or identity.subject, after=after)


def _known(session: Session, identity: Identity) -> UserAccount | None:
    query = select(UserAccount).where(
        UserAccount.oidc_issuer == identity.issuer, UserAccount.oidc_subject == identity.subject
    )
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def _make(context: Context, identity: Identity, role: Role | None) -> UserAccount:
    """Create the account at a person's first sign-in. An existing account with the same name is never taken over."""
    if role is None:
        raise GroupsLeftOut if identity.are_groups_missing else NoGroup
    try:
        new = read(NewAccount, {"name": identity.name, "role": role, "email": _email(identity)})
    except Invalid as error:
        raise NameUnusable from error
    whose = {"oidc_issuer": identity.issuer, "oidc_subject": identity.subject}
    statement = insert(UserAccount).values(
        name=new.name, role=new.role, email=new.email or None, created_at=context.now, **whose
    )
    made = context.session.scalars(statement.on_conflict_do_nothing().returning(UserAccount)).one_or_none()
    if made is None:
        # Two first sign-ins of one person at once: this request finds the account that the other has created.
        if (known := _known(context.session, identity)) is not None:
            return known
        raise NameBelongsToAnother(
            f"There is already an account {new.name} that is not linked to your identity. If it is yours, ask an "
            f"administrator to link it: ims admin user link {new.name} --subject {shlex.quote(identity.subject)}"
        )
    record(context, "user.created", new.name, after={"role": new.role, "email": new.email, **whose})
    return made


def _email(identity: Identity) -> str:
    """The e-mail address; empty if it is invalid, since that is no reason to deny the sign-in."""
    try:
        return read(NewAccount, {"name": "unknown", "email": identity.email}).email
    except Invalid:
        return ""


def _follow(context: Context, account: UserAccount, identity: Identity, role: Role | None) -> None:
    changes: dict[str, str] = {"role": role} if role is not None else {}
    if email := _email(identity):
        changes["email"] = email
    try:
        change_account(context, account.name, changes)
    except LastAdministrator as error:
        # The last administrator must not be lost, and no account may have a higher role than the provider gives.
        raise SignInRefused(
            "You are the last administrator, and your groups now give you another role. Make another account an "
            "administrator first: ims user set NAME --role admin"
        ) from error


def _note_missing_groups(context: Context, account: UserAccount, *, is_missing: bool) -> None:
    """Keep since when the groups are missing, for the page of the accounts; the audit log has beginning and end."""
    since = account.groups_missing_since
    if is_missing == (since is not None):
        return
    account.groups_missing_since = context.now if is_missing else None
    action = "user.groups_missing" if is_missing else "user.groups_back"
    record(context, action, account.name, after={"role": account.role} if is_missing else None)


def _follow_teams(context: Context, account: UserAccount, identity: Identity, rules: Rules) -> None:
    """Update the memberships that groups determine, and keep the others."""
    if not rules.teams:
        return
    wanted = rules.teams_of(identity.groups)
    for name in sorted(wanted):
        create_team(context, read(NewTeam, {"name": name}))
    present = set(context.session.scalars(select(Membership.team).where(Membership.user_id == account.id)))
    set_teams(context, account, (present - rules.followed_teams) | wanted)
