"""The command's reference, what documentation says people type, and that the command stays a client."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from ims.cli.main import app
from ims.cli.reference import every_command, reference

ROOT = Path(__file__).parents[2]
BEFORE = ROOT / "docs/upgrading.md"
"""It names commands as they were before."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted({*ROOT.glob("docs/**/*.md")} - {BEFORE})]
COMMANDS = {path: (command, context) for path, command, context in every_command(typer.main.get_command(app))}
_TYPED = re.compile(r"^\s*(?:\$ )?((?:bin/)?ims [^\n`]*)$|`((?:bin/)?ims [^`]+)`", re.MULTILINE)


def test_the_reference_is_what_the_help_says() -> None:
    written = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert written == reference(), "write it anew: python -m ims.cli.reference > docs/reference/commands.md"


def test_every_module_of_the_command_is_held_to_be_a_client() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one["name"].startswith("The command is a client")]
    modules = {f"ims.cli.{path.stem}" for path in (ROOT / "ims/cli").glob("*.py")}
    # The policy check reads policies; the others only start something.
    assert set(contract["source_modules"]) == modules - {"ims.cli.policy", "ims.cli.__init__", "ims.cli.__main__"}


def commands_in(text: str) -> list[str]:
    """What a page says people type: lines of code, and words between backticks."""
    return [found.removeprefix("bin/") for pair in _TYPED.findall(text) for found in pair if found]


def wrong_in(typed: str) -> str | None:
    """What of a command line there is not; None if all is there."""
    line = re.split(r" \| | # |  +#|;|>", typed)[0]
    words = re.sub(r"[…\[\]'\"\\]", " ", line).split()
    path = words[0]
    for word in words[1:]:
        if not hasattr(COMMANDS[path][0], "list_commands") or not re.fullmatch(r"[a-z][a-z|-]*", word):
            break
        for one in word.split("|"):
            if f"{path} {one}" not in COMMANDS:
                return f"{path} {one}"
        path = f"{path} {word.split('|')[-1]}"
    command, context = COMMANDS[path]
    options = {name for one in command.get_params(context) for name in (*one.opts, *one.secondary_opts)}
    given = {word.split("=")[0] for part in words for word in part.split("|") if word.startswith("--")}
    unknown = given - options
    return f"{path} {sorted(unknown)}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_name_commands_and_options_that_exist(page: Path) -> None:
    wrong = [one for typed in commands_in(page.read_text(encoding="utf-8")) if (one := wrong_in(typed))]
    assert not wrong


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("ims incident list --status open", None),
        ("ims team add|remove TEAM", None),
        ("ims migrate", "ims migrate"),
        ("ims incident list --words x", "ims incident list ['--words']"),
        ("ims admin policy drop", "ims admin policy drop"),
    ],
)
def test_a_command_that_is_not_there_is_found(typed: str, found: Any) -> None:
    assert wrong_in(typed) == found
