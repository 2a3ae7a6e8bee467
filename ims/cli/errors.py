"""Errors of commands; the exit code tells scripts what happened."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class CommandFailed(Exception):
    """The command failed, or found faults."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class Wrong(CommandFailed):
    """Invalid arguments; the message names each invalid field."""

    exit_code = 2


class NothingThere(CommandFailed):
    """The object does not exist."""

    exit_code = 3


class NotNow(CommandFailed):
    """The current state does not allow it."""

    exit_code = 4


class Away(CommandFailed):
    """The server or its database does not respond; try again later."""

    exit_code = 5


class NotAllowed(CommandFailed):
    """The token is missing or invalid, or lacks the rights."""

    exit_code = 6


EXIT_CODES: Final = (
    (0, "success"),
    (CommandFailed.exit_code, "the command failed, or found faults"),
    (Wrong.exit_code, "invalid arguments: the message names each invalid field"),
    (NothingThere.exit_code, "the object does not exist"),
    (NotNow.exit_code, "the current state does not allow it"),
    (Away.exit_code, "the server or its database does not respond: try again later"),
    (NotAllowed.exit_code, "the token is missing or invalid, or lacks the rights"),
)

OF_STATUS: Final[Mapping[int, type[CommandFailed]]] = MappingProxyType(
    {
        **dict.fromkeys((400, 413, 415, 422), Wrong),
        **dict.fromkeys((401, 403), NotAllowed),
        404: NothingThere,
        **dict.fromkeys((409, 412), NotNow),
        **dict.fromkeys((429, 502, 503, 504), Away),
    }
)
"""By HTTP status of the API."""
