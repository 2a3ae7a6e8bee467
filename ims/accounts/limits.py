"""The rate limit of sign-in attempts, counted in the database so that all processes share it.

An attempt is counted before the password is checked, and given back if the password was correct. So parallel attempts
are limited as strictly as consecutive ones. The caller owns the transaction.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_network
from typing import Final

from sqlalchemy import case, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.accounts.models import SignInTries
from ims.core.errors import IMSError
from ims.core.net import read_address

WINDOW: Final = timedelta(minutes=5)
"""How long attempts count, from the first one on."""
MOST_OF_NAME: Final = 5
"""Wrong passwords for one name from one address within the window."""
MOST_OF_ADDRESS: Final = 50
"""Wrong passwords from one address within the window, for all names together. This also bounds the table: an address
over its limit adds no more names."""


class TooManyTries(IMSError):
    """Too many attempts."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many attempts. Wait {seconds} seconds.")
        self.seconds: Final = seconds
        """Seconds until the next attempt is allowed."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A key whose attempts are counted, and how many it may have within the window."""

    key: bytes
    most: int


def counted(secret: str, address: str, name: str) -> tuple[Counted, Counted]:
    """The keys against which an attempt for `name` from `address` counts, the address first."""
    network = _network(address)
    return (
        Counted(_key(secret, "address", network), MOST_OF_ADDRESS),
        Counted(_key(secret, "name", network, name), MOST_OF_NAME),
    )


def take_try(session: Session, whose: Sequence[Counted], now: datetime) -> None:
    """Count an attempt. Raises `TooManyTries`: the caller must then roll back, since no attempt was made."""
    over = now - WINDOW
    is_over = SignInTries.began_at <= over
    # All transactions lock the address first, so that there is no deadlock.
    for one in whose:
        statement = insert(SignInTries).values(key=one.key, tries=1, began_at=now)
        statement = statement.on_conflict_do_update(
            index_elements=[SignInTries.key],
            set_={
                "tries": case((is_over, 1), else_=SignInTries.tries + 1),
                "began_at": case((is_over, now), else_=SignInTries.began_at),
            },
            where=or_(is_over, SignInTries.tries < one.most),
        )
        if session.scalar(statement.returning(SignInTries.key)) is None:
            began_at = session.scalars(select(SignInTries.began_at).where(SignInTries.key == one.key)).one()
            raise TooManyTries(max(int((began_at + WINDOW - now).total_seconds()), 0) + 1)


def give_back(session: Session, whose: tuple[Counted, Counted]) -> None:
    """After a correct password: reset the name, and give one attempt back to the address, which people may share."""
    address, name = whose
    less = update(SignInTries).where(SignInTries.key == address.key, SignInTries.tries > 0)
    session.execute(less.values(tries=SignInTries.tries - 1))
    session.execute(delete(SignInTries).where(SignInTries.key == name.key))


def _key(secret: str, *parts: str) -> bytes:
    """The key in the database, as a keyed hash: a name may be a password that was typed into the wrong field."""
    text = "\0".join(f"{len(part)}:{part}" for part in parts)
    return hmac.digest(secret.encode(), text.encode("utf-8", "surrogatepass"), "sha256")


def _network(address: str) -> str:
    """The address, or for IPv6 its /64 network, which one customer gets as a whole."""
    found = read_address(address)
    return str(ip_network(f"{found}/64", strict=False)) if isinstance(found, IPv6Address) else address
