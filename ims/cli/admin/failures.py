"""Errors of `ims admin` commands, reported as by other commands. Imports nothing slow."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from ims.cli.errors import Away, CommandFailed, NothingThere, NotNow, Wrong
from ims.core.errors import Conflict, DatabaseAway, IMSError, Invalid, NotFound, Stale

F = TypeVar("F", bound=Callable[..., Any])
_KINDS = ((Invalid, Wrong), (NotFound, NothingThere), (Conflict, NotNow), (Stale, NotNow), (DatabaseAway, Away))


def on_this_machine(command: F) -> F:
    """Report an `IMSError` as other commands do: its message, each invalid field, and the matching exit code."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except IMSError as error:
            lines = [error.message, *(f"  {wrong.field}: {wrong.message}" for wrong in error.fields)]
            kind = next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), CommandFailed)
            raise kind("\n".join(lines)) from None

    return run  # type: ignore[return-value]
