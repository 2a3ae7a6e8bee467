"""`ims admin bootstrap` as the role `ims` calls it."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from ims.accounts.bootstrap import COMMAND_LABEL
from ims.accounts.models import ApiToken, UserAccount
from ims.accounts.passwords import hash_token, is_password
from ims.accounts.people.inputs import NewAccount
from ims.accounts.people.usecases import create_account, disable_account
from ims.accounts.queries import principal_of_token
from ims.accounts.token_names import token_name
from ims.accounts.tokens.usecases import create_user_token, revoke_token
from ims.cli.admin import installation as administration
from ims.cli.main import main
from ims.core.clock import utc_now
from ims.core.db.engine import Database
from ims.core.principal import Role, Scope
from ims.core.settings import Settings
from ims.sources.bootstrap import ALERTMANAGER_SOURCE
from ims.sources.models import Source
from ims.sources.usecases import create_source_token
from tests.support.context import by_command

OF_COMMAND = hash_token("command token")


@pytest.fixture
def secrets(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "secrets"
    directory.mkdir()
    (directory / "admin_password").write_text("first password\n")
    (directory / "alertmanager_token").write_text("first token\n")
    (directory / "command_token").write_text("command token\n")
    here = settings.model_copy(update={"state_dir": tmp_path})
    monkeypatch.setattr(administration, "load_settings", lambda: here)
    return directory


def test_the_second_time_nothing_changes(secrets: Path, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["admin", "bootstrap"]), main(["admin", "bootstrap"])] == [0, 0]
    assert capsys.readouterr().out.split() == ["changed", "unchanged"]


def test_a_new_password_in_the_file_ends_old_sessions(secrets: Path, database: Database) -> None:
    main(["admin", "bootstrap"])
    (secrets / "admin_password").write_text("second password")
    main(["admin", "bootstrap"])
    with database.begin() as session:
        account = session.scalars(select(UserAccount)).one()
    assert is_password(account.password_hash, "second password")
    assert not is_password(account.password_hash, "first password")
    assert account.session_generation == 2


def test_a_new_token_in_the_file_replaces_the_old_one(secrets: Path, database: Database) -> None:
    main(["admin", "bootstrap"])
    (secrets / "alertmanager_token").write_text("second token")
    main(["admin", "bootstrap"])
    with database.begin() as session:
        assert set(session.scalars(select(ApiToken.hash))) == {hash_token("second token"), OF_COMMAND}
        assert session.scalar(select(func.count()).select_from(Source)) == 1


def test_an_existing_source_gets_its_receiver(
    secrets: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise reconciliation would take alerts for other receivers, such as the Watchdog, for missed ones."""
    main(["admin", "bootstrap"])
    with database.begin() as session:
        session.scalars(select(Source)).one().receiver = None
    assert [main(["admin", "bootstrap"]), main(["admin", "bootstrap"])] == [0, 0]
    assert capsys.readouterr().out.split() == ["changed", "changed", "unchanged"]
    with database.begin() as session:
        assert session.scalars(select(Source)).one().receiver == "ims"


def test_a_missing_secret_is_named_and_nothing_is_created(
    secrets: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    (secrets / "alertmanager_token").unlink()
    assert main(["admin", "bootstrap"]) == 1
    assert "alertmanager_token" in capsys.readouterr().err
    with database.begin() as session:
        assert session.scalar(select(func.count()).select_from(UserAccount)) == 0


def test_tokens_that_people_made_for_the_source_are_left_alone(
    secrets: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["admin", "bootstrap"])
    with database.begin() as session:
        theirs = create_source_token(by_command(session, utc_now()), ALERTMANAGER_SOURCE, "a second Alertmanager")
    capsys.readouterr()
    assert main(["admin", "bootstrap"]) == 0
    assert capsys.readouterr().out.strip() == "unchanged"
    (secrets / "alertmanager_token").write_text("second token")
    main(["admin", "bootstrap"])
    with database.begin() as session:
        hashes = set(session.scalars(select(ApiToken.hash)))
    assert hashes == {hash_token("second token"), hash_token(theirs.text), OF_COMMAND}


def test_a_revoked_token_does_not_come_back(
    secrets: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["admin", "bootstrap"])
    with database.begin() as session:
        own = session.scalars(select(ApiToken.id).where(ApiToken.source.is_not(None))).one()
        revoke_token(by_command(session, utc_now()), token_name(own))
    assert main(["admin", "bootstrap"]) == 1
    assert "alertmanager_token" in capsys.readouterr().err
    (secrets / "alertmanager_token").write_text("second token")
    assert main(["admin", "bootstrap"]) == 0


def test_the_command_acts_for_the_administrator_by_the_token_in_its_file(secrets: Path, database: Database) -> None:
    main(["admin", "bootstrap"])
    with database.begin() as session:
        principal = principal_of_token(session, OF_COMMAND, utc_now())
    assert principal is not None
    assert (principal.name, principal.scope) == ("admin", "admin")
    (secrets / "command_token").write_text("another command token")
    main(["admin", "bootstrap"])
    with database.begin() as session:
        assert principal_of_token(session, OF_COMMAND, utc_now()) is None
        assert principal_of_token(session, hash_token("another command token"), utc_now()) is not None


def test_a_command_s_token_that_was_revoked_is_replaced_and_stays_revoked(
    secrets: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["admin", "bootstrap"])
    file = secrets / "command_token"
    file.chmod(0o600)
    with database.begin() as session:
        own = session.scalars(select(ApiToken.id).where(ApiToken.hash == OF_COMMAND)).one()
        revoke_token(by_command(session, utc_now()), token_name(own))
    capsys.readouterr()
    assert main(["admin", "bootstrap"]) == 0
    assert capsys.readouterr().out.strip() == "changed"
    successor = file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
    with database.begin() as session:
        assert principal_of_token(session, OF_COMMAND, utc_now()) is None
        assert principal_of_token(session, hash_token(successor), utc_now()) is not None
    assert main(["admin", "bootstrap"]) == 0
    assert capsys.readouterr().out.strip() == "unchanged"


def test_an_administrator_who_was_disabled_gets_no_token(
    secrets: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["admin", "bootstrap"])
    with database.begin() as session:
        context = by_command(session, utc_now())
        create_account(context, NewAccount(name="other", role=Role.ADMIN), None)
        disable_account(context, "admin")
    capsys.readouterr()
    assert main(["admin", "bootstrap"]) == 0
    assert capsys.readouterr().out.strip() == "unchanged"
    with database.begin() as session:
        of_command = session.scalars(select(ApiToken).where(ApiToken.label == COMMAND_LABEL)).one()
    assert of_command.expires_at is not None


def test_a_token_of_the_administrator_s_own_stays(secrets: Path, database: Database) -> None:
    main(["admin", "bootstrap"])
    with database.begin() as session:
        own = create_user_token(by_command(session, utc_now()), "admin", Scope.READ, "command line").text
    (secrets / "command_token").write_text("another command token")
    main(["admin", "bootstrap"])
    with database.begin() as session:
        assert principal_of_token(session, hash_token(own), utc_now()) is not None
