"""`ims policy` as people and roles type it."""

import json
from pathlib import Path

import pytest

from ims.cli import main as cli
from ims.core.settings import Settings
from tests.integration.policy.conftest import INVENTORY, Write


@pytest.fixture
def at_home(settings: Settings, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of an installation whose policy is the tree."""
    password = tmp_path / "database-password"
    assert settings.database_password is not None
    password.write_text(settings.database_password.get_secret_value())
    monkeypatch.setenv("IMS_STATE_DIR", str(settings.state_dir))
    monkeypatch.setenv("IMS_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("IMS_DATABASE_PASSWORD_FILE", str(password))
    monkeypatch.setenv("IMS_POLICY_ROOT", str(tree))
    monkeypatch.setenv("IMS_INVENTORY", INVENTORY)


def test_check_of_a_sound_policy_needs_no_database(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["policy", "check", "--root", str(tree), "--inventory", INVENTORY]) == 0
    output = capsys.readouterr().out
    assert output.startswith("ok digest=")
    assert "services=2 rules=1 mode=auto" in output


def test_check_tells_every_fault_and_ends_with_1(tree: Path, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("host_vars/web.yml", "url: ftp://x\n")
    write("host_vars/db.yml", "ownr: bob\nservice_recovery: nobody\n")
    assert cli.main(["policy", "check", "--root", str(tree), "--inventory", INVENTORY]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith(f"{INVENTORY}/host_vars/db.yml:2:19: services.db.service_recovery: must be one of ")
    assert lines[1].startswith(f"{INVENTORY}/host_vars/web.yml:1:6: services.web.url: must be a URL")
    assert printed.err == "ims: 2 faults found; nothing was changed.\n"


def test_check_answers_as_json_too(tree: Path, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["policy", "check", "--json", "--root", str(tree), "--inventory"]
    assert cli.main([*command, INVENTORY]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["services"], answer["faults"]) == (True, 2, [])
    write("host_vars/web.yml", "url: ftp://x\n")
    assert cli.main([*command, INVENTORY]) == 1
    fault = json.loads(capsys.readouterr().out)["faults"][0]
    assert (fault["file"], fault["line"], fault["field"]) == (f"{INVENTORY}/host_vars/web.yml", 1, "services.web.url")
    assert cli.main([*command, "inventory/none"]) == 1
    assert "no inventory" in json.loads(capsys.readouterr().out)["error"]


def test_a_wrong_command_line_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["policy", "check", "--rot", "x"]) == 2
    capsys.readouterr()


def test_a_missing_inventory_is_one_sentence(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["policy", "check", "--root", str(tree), "--inventory", "inventory/none"]) == 1
    assert "There is no inventory inventory/none" in capsys.readouterr().err


@pytest.mark.usefixtures("at_home", "database")
def test_load_says_whether_it_changed_anything_and_show_shows_it(
    tree: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["admin", "policy", "show"]) == 0
    assert "No policy is active yet" in capsys.readouterr().out

    assert cli.main(["admin", "policy", "load"]) == 0
    first = capsys.readouterr().out
    assert first.startswith("changed digest=")
    assert cli.main(["admin", "policy", "load"]) == 0
    assert capsys.readouterr().out == "un" + first

    write("host_vars/web.yml", "url: ftp://x\n")
    assert cli.main(["admin", "policy", "load"]) == 1
    assert "services.web.url" in capsys.readouterr().err

    assert cli.main(["admin", "policy", "show"]) == 0
    shown = capsys.readouterr().out
    assert first.strip().removeprefix("changed digest=") in shown
    assert "http://127.0.0.1:8080/health" in shown
    assert "restart-a-dead-service" in shown

    assert cli.main(["admin", "policy", "show", "--json"]) == 0
    active = json.loads(capsys.readouterr().out)["active"]
    assert active["policy"]["services"]["web"]["owner"] == "alice"


@pytest.mark.usefixtures("at_home", "database")
def test_load_refuses_to_lose_all_services(tree: Path, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["admin", "policy", "load"]) == 0
    write("hosts.yml", "machines:\n  hosts:\n    local:\n")
    assert cli.main(["admin", "policy", "load"]) == 1
    assert "--allow-empty" in capsys.readouterr().err
    assert cli.main(["admin", "policy", "load", "--allow-empty", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is True


def test_load_with_the_database_away_is_one_sentence(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMS_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("IMS_DATABASE_URL", "postgresql://ims_app@127.0.0.1:1/ims")
    assert cli.main(["admin", "policy", "load", "--root", str(tree), "--inventory", INVENTORY]) == 5
    assert "database" in capsys.readouterr().err
