"""How the groups of commands are made, all alike."""

from collections.abc import Callable
from typing import Any, TypeVar

import typer

F = TypeVar("F", bound=Callable[..., Any])


def group(name: str, help_text: str) -> typer.Typer:
    """A group of commands. Without markup: otherwise each help would import rich first."""
    return typer.Typer(
        name=name, help=help_text, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip


def examples(*lines: str) -> str:
    """The end of a command's help: commands that a test runs as they stand there."""
    return "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines)
