"""What people type, and what reaches a terminal."""

import re
from pathlib import Path

import pytest

from ims.cli.errors import CommandFailed, NotAllowed, Wrong
from ims.cli.given import moment, password, seconds
from ims.cli.output import cut, printable
from ims.cli.profile import Profile, read_profile


@pytest.mark.parametrize(("given", "wanted"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("7D", 604800)])
def test_durations_are_read_as_people_write_them(given: str, wanted: float) -> None:
    assert seconds(given, "--overlap") == wanted


@pytest.mark.parametrize("given", ["", "soon", "-1h", "1w", "1e9", "9" * 20])
def test_what_is_no_duration_is_refused_by_its_option(given: str) -> None:
    with pytest.raises(Wrong, match="--overlap"):
        seconds(given, "--overlap")


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment("2026-03-01", "--since") == "2026-03-01T00:00:00+00:00"
    assert moment("2026-03-01T02:00+02:00", "--since") == "2026-03-01T02:00:00+02:00"
    assert moment(None, "--since") is None
    with pytest.raises(Wrong, match=re.escape("--since: 'yesterday' is no time")):
        moment("yesterday", "--since")


def test_text_from_outside_cannot_move_a_terminal_s_cursor() -> None:
    assert printable("a\x1b[2Jb\nc\x9bd\u202e") == "a [2Jb c d "
    assert printable(None) == ""
    assert cut("abcdef", 4) == "abc…"


def test_a_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("correct horse\r\nnot this\n")
    assert password(file) == "correct horse"
    with pytest.raises(Wrong, match="--password-file"):
        password(tmp_path / "nothing")


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_the_environment_names_server_and_token(tmp_path: Path) -> None:
    given = {"IMS_URL": "http://ims.example:8080/", "IMS_TOKEN": "ims_x"}
    assert read_profile(given) == Profile("http://ims.example:8080", "ims_x")
    file = private(tmp_path / "token", "ims_y\n")
    assert read_profile({**given, "IMS_TOKEN_FILE": str(file)}).token == "ims_y"
    assert read_profile({"IMS_URL": "http://x", "IMS_TOKEN": ""}).token is None


def test_else_the_profile_does(tmp_path: Path) -> None:
    token = private(tmp_path / "token", "ims_z\n")
    private(tmp_path / "command.toml", f'url = "http://127.0.0.1:8080"\ntoken_file = "{token}"\n')
    assert read_profile({"IMS_STATE_DIR": str(tmp_path)}) == Profile("http://127.0.0.1:8080", "ims_z")
    assert read_profile({"IMS_PROFILE": str(tmp_path / "command.toml")}).token == "ims_z"


def test_a_profile_or_a_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    token = private(tmp_path / "token", "ims_z\n")
    profile = private(tmp_path / "command.toml", f'url = "http://x"\ntoken_file = "{token}"\n')
    token.chmod(0o644)
    with pytest.raises(NotAllowed, match="may be read by others"):
        read_profile({"IMS_PROFILE": str(profile)})
    token.chmod(0o600)
    profile.chmod(0o640)
    with pytest.raises(NotAllowed, match="may be read by others"):
        read_profile({"IMS_PROFILE": str(profile)})


@pytest.mark.parametrize("text", ["url = ", "token_file = 'x'", "url = 5"])
def test_a_faulty_profile_is_named(tmp_path: Path, text: str) -> None:
    profile = private(tmp_path / "command.toml", text)
    with pytest.raises(CommandFailed, match=re.escape(str(profile))):
        read_profile({"IMS_PROFILE": str(profile)})


def test_without_any_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="IMS_URL and IMS_TOKEN"):
        read_profile({"IMS_STATE_DIR": str(tmp_path)})
