"""Create groups of commands with the same options."""

from collections.abc import Iterable

import typer


def group(name: str, help_text: str) -> typer.Typer:
    """A group of commands. Markup is off, since it would make every help text import rich."""
    return typer.Typer(
        name=name, help=help_text, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip


def examples(*lines: str) -> str:
    """The examples in a command's help; a test runs them."""
    return f"Examples:\n\n{as_written(lines)}"


def as_written(lines: Iterable[str]) -> str:
    """A paragraph of help without line wrapping, for lines to be copied."""
    return "\b\n" + "\n".join(f"  {line}" for line in lines)
