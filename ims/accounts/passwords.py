"""Passwords and tokens: how they are stored and compared."""

import hashlib

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

# argon2-cffi's defaults are RFC 9106's low-memory profile.
_HASHER = PasswordHasher()


def hash_password(password: str) -> str:
    """An argon2id hash with its salt and parameters."""
    return _HASHER.hash(password)


def is_password(stored: str, password: str) -> bool:
    """Whether `password` matches the hash `stored`; a damaged hash matches no password."""
    try:
        return _HASHER.verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False


def hash_token(token: str) -> bytes:
    """SHA-256 of a token: it has 256 random bits, so a slow hash would only make each request slower."""
    return hashlib.sha256(token.encode()).digest()
