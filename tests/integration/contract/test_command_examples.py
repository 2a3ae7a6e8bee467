"""Every example that the command's help gives is a command that works, in the order in which the help gives them."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from ims.accounts.models import UserAccount
from ims.cli.client import api
from ims.cli.main import app, main
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.principal import Role
from ims.core.settings import Settings
from tests.integration.contract.served import served
from tests.support.postgres import PostgresServer
from tests.support.workers import environment_of

ROOT = Path(__file__).resolve().parents[3]
# They need a whole machine, a terminal, or more than one token; tests of their own run them.
ELSEWHERE = ("ims demo", "ims admin ", "ims run log R-1 --follow", "ims user passwd", "ims source try")
STILL_BROKEN = ("ims dead-letter retry",)
"""What is in the dead letter is broken for good, and these say so by their exit code."""
ORDER = (
    "add", "create", "open", "list", "show", "log", "metrics", "summary", "set", "note", "ack", "start", "resolve",
    "join", "leave", "rotate", "retry", "drop", "end", "remove",
)  # fmt: skip
"""What makes something comes before what needs it; what is not named comes last."""


def commands(command: Any, path: tuple[str, ...] = ("ims",)) -> list[tuple[tuple[str, ...], Any]]:
    """Every command with its words."""
    if not hasattr(command, "list_commands"):
        return [(path, command)]
    context = typer.Context(command)
    found = []
    for name in command.list_commands(context):
        found += commands(command.get_command(context, name), (*path, name))
    return found


ALL = commands(typer.main.get_command(app))


def examples_of(command: Any) -> list[str]:
    return [line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("ims ")]


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_every_command_says_what_it_does_and_has_an_example(path: tuple[str, ...], command: Any) -> None:
    assert command.help
    assert examples_of(command), f"{' '.join(path)} has no example"
    for example in examples_of(command):
        assert example.startswith(" ".join(path)), f"{example} is no example of {' '.join(path)}"


def _place(example: str) -> tuple[int, int]:
    words = shlex.split(example)
    # Accounts and teams first: other examples name them.
    group = 0 if words[1] == "user" else 1
    return (ORDER.index(words[2]) if words[2] in ORDER else len(ORDER), group)


def test_every_example_works_as_it_stands(
    settings: Settings, database: Database, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(ROOT)
    for name, value in environment_of(settings, tmp_path).items():
        if name.startswith("IMS_"):
            monkeypatch.setenv(name, value)
    wanted = [example for _, command in ALL for example in examples_of(command) if not example.startswith(ELSEWHERE)]
    with served(settings, database, postgres) as installation:
        with database.begin() as session:
            session.add(UserAccount(name="admin", role=Role.ADMIN, created_at=utc_now()))
        monkeypatch.setenv("IMS_URL", installation.address)
        monkeypatch.setenv("IMS_TOKEN", installation.token)
        api.cache_clear()
        failed = {}
        for example in sorted(wanted, key=_place):
            code = main(shlex.split(example)[1:])
            printed = capsys.readouterr()
            if code != (1 if example.startswith(STILL_BROKEN) else 0):
                failed[example] = (code, printed.err)
    api.cache_clear()
    assert failed == {}
