"""The first administrator, whose password a file of the installation holds."""

from typing import Final

from ims.accounts.models import UserAccount
from ims.accounts.passwords import hash_password, is_password
from ims.audit.log import record
from ims.core.context import Context
from ims.core.principal import Role

ADMINISTRATOR: Final = "admin"


def ensure_administrator(context: Context, password: str) -> bool:
    """Create the administrator, or set the password again if the file has another; true if something changed."""
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
