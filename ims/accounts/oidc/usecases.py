"""Letting in whom the identity provider has signed in."""

import shlex
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.accounts.models import Membership, UserAccount
from ims.accounts.oidc.claims import Identity, Rules
from ims.accounts.oidc.errors import AccountDisabled, NameBelongsToAnother, NameUnusable, NoGroup, SignInRefused
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
"""Who makes accounts and changes roles and teams at a sign-in."""


def admit(context: Context, identity: Identity, rules: Rules) -> Account:
    """The account of this person, made at the first sign-in; role and teams follow the groups at each.

    Nobody is signed in yet: the context is IMS's own. Raises a `SignInRefused` that says why not and what to do.
    """
    role = rules.role_of(identity.groups)
    if rules.decide_roles and role is None:
        raise NoGroup
    by_provider = context.acting_as(PROVIDER)
    account = _known(context.session, identity) or _make(by_provider, identity, role)
    if account.disabled_at is not None:
        raise AccountDisabled
    _follow(by_provider, account, identity, role if rules.decide_roles else None)
    _follow_teams(by_provider, account, identity, rules)
    context.session.flush()
    admitted = account_by_id(context.session, account.id)
    if admitted is None:
        raise AccountDisabled
    record(context.acting_as(Principal.of_account(admitted)), "user.signed_in", admitted.name, after={"by": "oidc"})
    return admitted


def record_refusal(context: Context, identity: Identity, refused: SignInRefused) -> None:
    """Write down who came from the provider and was not let in."""
    after = {"by": "oidc", "subject": identity.subject, "reason": type(refused).__name__}
    record(context.acting_as(PROVIDER), "user.sign_in_failed", identity.name or identity.subject, after=after)


def _known(session: Session, identity: Identity) -> UserAccount | None:
    query = select(UserAccount).where(
        UserAccount.oidc_issuer == identity.issuer, UserAccount.oidc_subject == identity.subject
    )
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def _make(context: Context, identity: Identity, role: Role | None) -> UserAccount:
    """The account of somebody who comes for the first time. A name that is taken stays whose it is."""
    if role is None:
        raise NoGroup
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
        # Whoever signs in twice at once for the first time finds the account that the other request has made.
        if (known := _known(context.session, identity)) is not None:
            return known
        raise NameBelongsToAnother(
            f"There is already an account {new.name} that is not yours at the identity provider. If it is you, an "
            f"administrator connects it: ims admin user link {new.name} --subject {shlex.quote(identity.subject)}"
        )
    record(context, "user.created", new.name, after={"role": new.role, "email": new.email, **whose})
    return made


def _email(identity: Identity) -> str:
    """The address, unless it is none: that is no reason to keep somebody out."""
    try:
        return read(NewAccount, {"name": "somebody", "email": identity.email}).email
    except Invalid:
        return ""


def _follow(context: Context, account: UserAccount, identity: Identity, role: Role | None) -> None:
    changes: dict[str, str] = {"role": role} if role is not None else {}
    if email := _email(identity):
        changes["email"] = email
    try:
        change_account(context, account.name, changes)
    except LastAdministrator as error:
        # Neither may the last one go, nor somebody be more here than the provider says.
        raise SignInRefused(
            "You are the last administrator, and your groups give you another role now. Make somebody else "
            "administrator first: ims user set NAME --role admin"
        ) from error


def _follow_teams(context: Context, account: UserAccount, identity: Identity, rules: Rules) -> None:
    """Be in the teams that the groups say, and stay in those that no group decides."""
    if not rules.teams:
        return
    wanted = rules.teams_of(identity.groups)
    for name in sorted(wanted):
        create_team(context, read(NewTeam, {"name": name}))
    present = set(context.session.scalars(select(Membership.team).where(Membership.user_id == account.id)))
    set_teams(context, account, (present - rules.followed_teams) | wanted)
