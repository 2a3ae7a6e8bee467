"""The first administrator, whose password is in a file of the installation, and the token of the command `ims`."""

from typing import Final

from sqlalchemy import or_

from ims.accounts.models import ApiToken, UserAccount
from ims.accounts.passwords import hash_password, hash_token, is_password
from ims.audit.log import record
from ims.core.context import Context
from ims.core.errors import IMSError
from ims.core.principal import Role, Scope

ADMINISTRATOR: Final = "admin"
COMMAND_LABEL: Final = "profile of make up"
"""Label of the token in the command's profile: people would not give this label to a token of their own."""


class CommandTokenEnded(IMSError):
    """The token in the command's profile was revoked: the profile needs a new token."""


def ensure_administrator(context: Context, password: str) -> bool:
    """Create the administrator, or set the password if it differs from the file's; true if something changed."""
    context.require(Role.ADMIN)
    session = context.session
    account = session.query(UserAccount).filter_by(name=ADMINISTRATOR).with_for_update().one_or_none()
    if account is None:
        session.add(
            UserAccount(
                name=ADMINISTRATOR, password_hash=hash_password(password), role=Role.ADMIN, created_at=context.now
            )
        )
        record(context, "user.created", ADMINISTRATOR, after={"role": Role.ADMIN})
        return True
    if account.password_hash and is_password(account.password_hash, password):
        return False
    account.password_hash = hash_password(password)
    account.session_generation += 1
    record(context, "user.password_set", ADMINISTRATOR)
    return True


def ensure_command_token(context: Context, token: str) -> bool:
    """Store the token with which the installing user's command `ims` acts as the administrator; true if it changed.

    A token that is no longer in the file stops working at once. A disabled administrator gets no token. Raises
    `CommandTokenEnded`.
    """
    context.require(Role.ADMIN)
    session, now = context.session, context.now
    account = session.query(UserAccount).filter_by(name=ADMINISTRATOR).one()
    if account.disabled_at is not None:
        return False
    known_hash = hash_token(token)
    of_profile = or_(ApiToken.label == COMMAND_LABEL, ApiToken.hash == known_hash)
    tokens = session.query(ApiToken).filter(ApiToken.user_id == account.id, of_profile).all()
    if any(known.hash == known_hash and known.expires_at and known.expires_at <= now for known in tokens):
        raise CommandTokenEnded
    if [known.hash for known in tokens] == [known_hash]:
        return False
    for old in tokens:
        session.delete(old)
    session.add(
        ApiToken(hash=known_hash, label=COMMAND_LABEL, user_id=account.id, scopes=[Scope.ADMIN], created_at=now)
    )
    session.flush()
    record(context, "token.created", COMMAND_LABEL, after={"user": ADMINISTRATOR, "scope": Scope.ADMIN})
    return True
