"""What a command ends with: scripts tell by the exit code what happened."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class CommandFailed(Exception):
    """It failed, or a fault was found."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class Wrong(CommandFailed):
    """What was given is wrong; the message names each wrong field."""

    exit_code = 2


class NothingThere(CommandFailed):
    """There is nothing of that name."""

    exit_code = 3


class NotNow(CommandFailed):
    """The present state does not allow it."""

    exit_code = 4


class Away(CommandFailed):
    """The server or its database does not answer; try again later."""

    exit_code = 5


class NotAllowed(CommandFailed):
    """The token is missing or wrong, or may not do that."""

    exit_code = 6


EXIT_CODES: Final = (
    (0, "done"),
    (CommandFailed.exit_code, "it failed, or a fault was found"),
    (Wrong.exit_code, "what was given is wrong: the message names each wrong field"),
    (NothingThere.exit_code, "there is nothing by that name"),
    (NotNow.exit_code, "the present state does not allow it"),
    (Away.exit_code, "the server or its database does not answer: try again later"),
    (NotAllowed.exit_code, "the token is missing or wrong, or may not do that"),
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
"""By the HTTP status that the API answers."""
