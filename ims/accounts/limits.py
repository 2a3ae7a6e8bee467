"""How often somebody may try a password: counted in the database, so that all processes count together.

A try is taken before the password is looked at and given back if it was right. Whoever sends many at once gets no more
of them looked at than whoever sends one after the other. The caller owns the transaction.
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
"""How long tries count, from the first of them on."""
MOST_OF_NAME: Final = 5
"""Wrong passwords for one name from one address within the window."""
MOST_OF_ADDRESS: Final = 50
"""Wrong passwords from one address within the window, for whatever names. It bounds the table, too: a refused address
adds no names."""


class TooManyTries(IMSError):
    """Too many tries."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many tries. Wait {seconds} seconds.")
        self.seconds: Final = seconds
        """Until the next one is looked at."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Something whose tries are counted, and how many it may have in the window."""

    key: bytes
    most: int


def counted(secret: str, address: str, name: str) -> tuple[Counted, Counted]:
    """What a try for `name` from `address` counts against, the address first."""
    network = _network(address)
    return (
        Counted(_key(secret, "address", network), MOST_OF_ADDRESS),
        Counted(_key(secret, "name", network, name), MOST_OF_NAME),
    )


def take_try(session: Session, whose: Sequence[Counted], now: datetime) -> None:
    """Count a try. Raises `TooManyTries`: then the transaction has to be rolled back, as nothing was tried."""
    over = now - WINDOW
    is_over = SignInTries.began_at <= over
    # Everybody takes the address first: no two wait for each other.
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
    """The password was right: the name begins anew, and the address has one try more, as it may be many people's."""
    address, name = whose
    less = update(SignInTries).where(SignInTries.key == address.key, SignInTries.tries > 0)
    session.execute(less.values(tries=SignInTries.tries - 1))
    session.execute(delete(SignInTries).where(SignInTries.key == name.key))


def _key(secret: str, *parts: str) -> bytes:
    """What stands in the database: people type their password into the field for the name, so nobody may read it."""
    text = "\0".join(f"{len(part)}:{part}" for part in parts)
    return hmac.digest(secret.encode(), text.encode("utf-8", "surrogatepass"), "sha256")


def _network(address: str) -> str:
    """An address, or the network that one customer gets of IPv6: all its addresses are the same person's."""
    found = read_address(address)
    return str(ip_network(f"{found}/64", strict=False)) if isinstance(found, IPv6Address) else address
