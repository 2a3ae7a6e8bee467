"""A group of commands that imports a module only when one of its commands runs, not for help or completion.

Imports take most of the time of a short command, so `ims --help` is printed from a table.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer import _click as click
from typer.core import TyperGroup


class LazyGroup(TyperGroup):
    """Subclass it with `groups`: from the name to the module with a Typer `app`, and a one-line help text."""

    groups: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table: the most common commands first."""
        return [*self.groups, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of a group, or return a command of this group."""
        if cmd_name not in self.groups:
            return super().get_command(ctx, cmd_name)
        if cmd_name not in self.commands:
            module = import_module(self.groups[cmd_name][0])
            self.commands[cmd_name] = typer.main.get_command(module.app)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Print the table, without importing the modules."""
        own = {name: self.commands[name] for name in super().list_commands(ctx) if name not in self.groups}
        rows = [(name, help_text) for name, (_, help_text) in self.groups.items()]
        rows += [(name, command.get_short_help_str(80)) for name, command in own.items() if not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Suggest similar names, too: Typer suggests only commands that are already imported."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.UsageError as error:
            if args and "Did you mean" not in error.message and (near := get_close_matches(args[0], self.groups)):
                error.message = f"{error.message.rstrip('.')}. Did you mean {', '.join(map(repr, near))}?"
            raise

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete names from the table: the base class would import every command for its help text."""
        item = click.shell_completion.CompletionItem
        found = [
            item(name, help=help_text) for name, (_, help_text) in self.groups.items() if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)
