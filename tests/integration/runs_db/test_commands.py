"""`ims run` as a person types it."""

import json

import pytest

from ims.cli.main import main
from ims.core.db.engine import Database
from ims.runs.events import RunEvent
from ims.runs.recap import HostRecap, Outcome, RunResult
from ims.runs.usecases import claim_run, finish_playbook, store_events
from tests.integration.runs_db.conftest import Queued
from tests.support.healing import now

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def run(terminal: Database, queued: Queued) -> str:
    """The name of a run that has failed and printed something; the commands ask a server of it."""
    failed = RunResult(Outcome.FAILED, "Task 'Start' failed on shop.", rc=2, recap={"shop": HostRecap(failures=1)})
    lines = ["\x1b[0;32mok: [shop]\x1b[0m", "\x1b[2J\x1b]0;owned\x07fatal: [shop]"]
    with terminal.begin() as session:
        claim = claim_run(session, queued.run_id, "worker-1", 30, now())
        assert claim is not None
        events = [RunEvent(counter=n, at=now(), kind="verbose", stdout=line) for n, line in enumerate(lines, 1)]
        store_events(session, claim, events)
        finish_playbook(session, claim, failed, now())
    return f"R-{claim.number}"


def test_list_is_a_table_of_runs(capsys: Captured, run: str) -> None:
    assert main(["run", "list"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["RUN", "OUTCOME", "TARGET", "RULE"]
    assert row.split()[:4] == [run, "failed", "shop", "restart"]


def test_list_can_be_narrowed(capsys: Captured) -> None:
    assert main(["run", "list", "--status", "healed"]) == 0
    assert main(["run", "list", "--target", "mail", "--json"]) == 0
    assert capsys.readouterr().out == "No runs.\n[]\n"


def test_show_tells_one_run_by_any_form_of_its_number(capsys: Captured, run: str) -> None:
    for name in (run, run.lower(), run.removeprefix("R-")):
        assert main(["run", "show", name, "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert (shown["status"], shown["rc"], shown["recap"]["shop"]["failures"]) == ("failed", 2, 1)


def test_show_finds_a_run_by_its_id(capsys: Captured, queued: Queued) -> None:
    assert main(["run", "show", str(queued.run_id)]) == 0
    assert "Task 'Start' failed on shop." in capsys.readouterr().out


def test_log_prints_what_the_playbook_printed_and_nothing_that_moves_a_cursor(capsys: Captured, run: str) -> None:
    assert main(["run", "log", run, "--follow"]) == 0
    assert capsys.readouterr().out == "ok: [shop]\n\\x1b[2J\\x1b]0;owned\\x07fatal: [shop]\n"


def test_log_as_json_has_a_line_for_each_event(capsys: Captured, run: str) -> None:
    assert main(["run", "log", run, "--json"]) == 0
    assert [json.loads(line)["counter"] for line in capsys.readouterr().out.splitlines()] == [1, 2]


@pytest.mark.parametrize("name", ["R-999999", "nonsense", "9" * 40])
def test_a_run_that_is_not_there_is_one_sentence(capsys: Captured, name: str) -> None:
    assert main(["run", "show", name]) == 3
    assert "There is no run" in capsys.readouterr().err
