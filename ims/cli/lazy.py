"""A group of commands whose modules are imported when one of them is used, and not for help or completion.

Most of the time of a short command goes into imports: the whole of `ims --help` is read from a table.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer import _click as click
from typer.core import TyperGroup


class LazyGroup(TyperGroup):
    """Subclass it with `groups`: name to the module that has a Typer `app`, and one line of help."""

    groups: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table: what people use most comes first."""
        return [*self.groups, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of a group, or find a command of this one."""
        if cmd_name not in self.groups:
            return super().get_command(ctx, cmd_name)
        if cmd_name not in self.commands:
            module = import_module(self.groups[cmd_name][0])
            self.commands[cmd_name] = typer.main.get_command(module.app)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table as help; nothing is imported."""
        own = {name: self.commands[name] for name in super().list_commands(ctx) if name not in self.groups}
        rows = [(name, words) for name, (_, words) in self.groups.items()]
        rows += [(name, command.get_short_help_str(80)) for name, command in own.items() if not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer, which suggests among the commands that are imported already."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.UsageError as error:
            if args and "Did you mean" not in error.message and (near := get_close_matches(args[0], self.groups)):
                error.message = f"{error.message.rstrip('.')}. Did you mean {', '.join(map(repr, near))}?"
            raise

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """The base class would import each command for its help; options and arguments are its business, too."""
        item = click.shell_completion.CompletionItem
        found = [item(name, help=words) for name, (_, words) in self.groups.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)
