"""The people of the access tests, and tokens by which they ask.

alice owns checkout and is on no team, bob is on its team, charlie is an outsider: all three are responders. victor only
looks on, and root administers.
"""

import secrets
from datetime import datetime

from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from ims.accounts.models import ApiToken, Membership, Team, UserAccount
from ims.accounts.passwords import hash_token
from ims.core.principal import Role, Scope

PASSWORD = "correct horse battery"
TEAM = "payments"
ROLES = {
    "alice": Role.RESPONDER,
    "bob": Role.RESPONDER,
    "charlie": Role.RESPONDER,
    "victor": Role.VIEWER,
    "root": Role.ADMIN,
}


def add_people(session: Session, now: datetime) -> None:
    """Everybody, with one password, and the team that bob is on."""
    # As cheap as it gets: tests sign in a hundred times.
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    people = {
        name: UserAccount(name=name, role=role, password_hash=hashed, created_at=now) for name, role in ROLES.items()
    }
    session.add_all([*people.values(), Team(name=TEAM, created_at=now)])
    session.flush()
    session.add(Membership(team=TEAM, user_id=people["bob"].id))
    session.flush()


def add_token(session: Session, name: str, now: datetime, scope: Scope = Scope.ADMIN) -> str:
    """A token of one of them."""
    text = f"ims_{secrets.token_urlsafe(16)}"
    account = session.query(UserAccount).filter_by(name=name).one()
    session.add(ApiToken(hash=hash_token(text), user_id=account.id, scopes=[scope.value], created_at=now))
    session.flush()
    return text
