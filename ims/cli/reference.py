"""docs/reference/commands.md, made from the help: `python -m ims.cli.reference > docs/reference/commands.md`."""

from collections.abc import Iterator
from typing import Any, Final

import typer

from ims.cli.main import app

_WIDTH: Final = 100
_HEAD: Final = """# Commands

What `ims COMMAND --help` prints. Made from the commands by `python -m ims.cli.reference`; a test compares. From where
they can be used, and by which token: [Use the command line](../how-to/command.md)."""


def every_command(command: Any, name: str = "ims", parent: Any = None) -> Iterator[tuple[str, Any, Any]]:
    """A command and all below it, as the help lists them: what is typed, the command, and the context of its help."""
    context = typer.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )  # fmt: skip
    yield context.command_path, command, context
    if hasattr(command, "list_commands"):
        for below in command.list_commands(context):
            yield from every_command(command.get_command(context, below), below, context)


def reference() -> str:
    """The whole page."""
    sections = [_HEAD]
    for path, command, context in every_command(typer.main.get_command(app)):
        level = min(path.count(" "), 1) + 2
        sections.append(f"{'#' * level} {path}\n```text\n{command.get_help(context).strip()}\n```")
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
