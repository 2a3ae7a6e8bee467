"""Errors that people and senders may see.

All of IMS's errors derive from `IMSError`. A subclass's docstring is its default message, so an error can be
raised without repeating a sentence. Messages are written for the reader of a page or of a log: they say what to do
and never contain a driver's text, a path of a secret or an untrusted value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: `field` is its name as the sender wrote it, `message` says what is wrong and the remedy."""

    field: str
    message: str


class IMSError(Exception):
    """Something went wrong in IMS."""

    status = 500
    """HTTP status with which the web programs answer."""
    members: Mapping[str, object] = MappingProxyType({})
    """Members of the problem JSON beyond title, detail and fields; a subclass sets them on its instances."""

    def __init__(self, message: str | None = None, *, fields: Sequence[FieldError] = ()) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.fields = tuple(fields)
        super().__init__(self.message)

    @property
    def title(self) -> str:
        """The kind of error in a few words, the same for all errors of a class."""
        return (type(self).__doc__ or "").strip().splitlines()[0]


class Invalid(IMSError):
    """The request has invalid fields."""

    status = 400


class Unprocessable(Invalid):
    """The request is well formed, but refers to something that does not exist."""

    status = 422


class Unauthenticated(IMSError):
    """Sign in, or send a valid token."""

    status = 401


class Forbidden(IMSError):
    """Your account does not have permission to do this."""

    status = 403


class NotFound(IMSError):
    """Not found."""

    status = 404


class Conflict(IMSError):
    """This step is not possible in the current state."""

    status = 409


class Stale(IMSError):
    """Another user changed this in the meantime: load it again."""

    status = 412


class TooLarge(IMSError):
    """The request body is too large."""

    status = 413


class DatabaseAway(IMSError):
    """The database does not answer. Try again in a few seconds."""

    status = 503


class DatabaseUnresponsive(DatabaseAway):
    """The database is connected but does not answer in time. Try again in a few seconds."""


class DatabaseDiskFull(DatabaseAway):
    """The database's disk is full. Nothing can be stored until there is space on it again."""


class PolicyFaulty(IMSError):
    """The policy has faults and was not activated."""

    status = 422


class ConfigurationFaulty(IMSError):
    """A setting has an invalid value."""


class RunDenied(IMSError):
    """The run was denied before anything was started."""
