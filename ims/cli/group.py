"""How the groups of commands are made, all alike."""

from collections.abc import Iterable

import typer


def group(name: str, help_text: str) -> typer.Typer:
    """A group of commands. Without markup: otherwise each help would import rich first."""
    return typer.Typer(
        name=name, help=help_text, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip


def examples(*lines: str) -> str:
    """The end of a command's help: commands that a test runs as they stand there."""
    return f"Examples:\n\n{as_written(lines)}"


def as_written(lines: Iterable[str]) -> str:
    """A paragraph of help whose lines stay as they are: they are to be copied."""
    return "\b\n" + "\n".join(f"  {line}" for line in lines)
