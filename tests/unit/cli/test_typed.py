"""What people type, and what reaches a terminal."""

import json
import re
from pathlib import Path

import pytest

from ims.cli.client import place
from ims.cli.credentials import Profile, read_profile
from ims.cli.errors import CommandFailed, NotAllowed, NothingThere, Wrong
from ims.cli.given import moment, named, password, seconds
from ims.cli.output import cut, escaped, printable


@pytest.mark.parametrize(("given", "wanted"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("7D", 604800)])
def test_durations_are_read_as_people_write_them(given: str, wanted: float) -> None:
    assert seconds(given, "--overlap") == wanted


@pytest.mark.parametrize("given", ["", "soon", "-1h", "1w", "1e9", "9" * 20])
def test_an_invalid_duration_is_rejected_with_the_name_of_its_option(given: str) -> None:
    with pytest.raises(Wrong, match="--overlap"):
        seconds(given, "--overlap")


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment("2026-03-01", "--since") == "2026-03-01T00:00:00+00:00"
    assert moment("2026-03-01T02:00+02:00", "--since") == "2026-03-01T02:00:00+02:00"
    assert moment(None, "--since") is None
    with pytest.raises(Wrong, match=re.escape("--since: 'yesterday' is not a time")):
        moment("yesterday", "--since")


def test_text_from_outside_cannot_move_a_terminal_s_cursor() -> None:
    assert printable("a\x1b[2Jb\nc\x9bd\u202e") == "a\\x1b[2Jb\\nc\\x9bd\\u202e"
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
    assert read_profile(given) == Profile("http://ims.example:8080", "ims_x", "IMS_URL", "IMS_TOKEN")
    file = private(tmp_path / "token", "ims_y\n")
    assert read_profile({**given, "IMS_TOKEN_FILE": str(file)}).token == "ims_y"
    assert read_profile({"IMS_URL": "http://x", "IMS_TOKEN": ""}).token is None


def test_else_the_profile_does(tmp_path: Path) -> None:
    token = private(tmp_path / "token", "ims_z\n")
    private(tmp_path / "command.toml", f'url = "http://127.0.0.1:8080"\ntoken_file = "{token}"\n')
    found = read_profile({"IMS_STATE_DIR": str(tmp_path)})
    assert found == Profile("http://127.0.0.1:8080", "ims_z", str(tmp_path / "command.toml"), str(token))
    assert read_profile({"IMS_PROFILE": str(tmp_path / "command.toml")}).token == "ims_z"


def test_a_profile_or_a_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    token = private(tmp_path / "token", "ims_z\n")
    profile = private(tmp_path / "command.toml", f'url = "http://x"\ntoken_file = "{token}"\n')
    token.chmod(0o644)
    with pytest.raises(NotAllowed, match="is readable by other users"):
        read_profile({"IMS_PROFILE": str(profile)})
    token.chmod(0o600)
    profile.chmod(0o640)
    with pytest.raises(NotAllowed, match="is readable by other users"):
        read_profile({"IMS_PROFILE": str(profile)})


@pytest.mark.parametrize("text", ["url = ", "token_file = 'x'", "url = 5"])
def test_a_faulty_profile_is_named(tmp_path: Path, text: str) -> None:
    profile = private(tmp_path / "command.toml", text)
    with pytest.raises(CommandFailed, match=re.escape(str(profile))):
        read_profile({"IMS_PROFILE": str(profile)})


def test_without_any_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="IMS_URL and IMS_TOKEN"):
        read_profile({"IMS_STATE_DIR": str(tmp_path)})


@pytest.mark.parametrize(
    "url",
    ["ims.example", "ftp://ims.example", "http://[::1", "http://user:secret@ims.example", "http://x/?a=1", "http://"],
)
def test_an_invalid_server_url_is_rejected_and_not_repeated(url: str) -> None:
    with pytest.raises(Wrong, match="IMS_URL: must be only the URL of a server") as error:
        read_profile({"IMS_URL": url})
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://[::1]:8443/ims/", "https://ims.example.org/ims"])
def test_a_server_may_have_a_port_and_a_path(url: str) -> None:
    assert read_profile({"IMS_URL": url}).url == url.rstrip("/")


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "ü"])
def test_a_malformed_token_is_rejected_and_not_repeated(token: str) -> None:
    with pytest.raises(NotAllowed, match="IMS_TOKEN does not contain a token") as error:
        read_profile({"IMS_URL": "http://x", "IMS_TOKEN": token})
    assert token not in str(error.value)


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAllowed, match=re.escape(str(tmp_path / "token"))):
        read_profile({"IMS_URL": "http://x", "IMS_TOKEN_FILE": str(tmp_path / "token")})


def test_names_are_quoted_so_that_none_leads_somewhere_else() -> None:
    assert place("teams", "a/../../users?x=1#y") == "/teams/a%2F..%2F..%2Fusers%3Fx%3D1%23y"
    for name in ("", ".", ".."):
        with pytest.raises(NothingThere):
            place("teams", name)


@pytest.mark.parametrize(("given", "wanted"), [("inc-42", "INC-42"), ("42", "42"), ("INC-1", "INC-1")])
def test_things_with_a_number_are_named_as_people_write_them(given: str, wanted: str) -> None:
    assert named(given, "INC", "incident") == wanted


@pytest.mark.parametrize("given", ["", "../me", "R-1", "INC-0", "INC-" + "9" * 19])
def test_an_invalid_name_sends_no_request(given: str) -> None:
    with pytest.raises(NothingThere, match="like INC-7"):
        named(given, "INC", "incident")


def test_a_line_of_json_reaches_a_terminal_without_control_characters() -> None:
    line = json.dumps({"text": "a\x9bb\u202ec"}, ensure_ascii=False)
    assert escaped(line).isascii()
    assert json.loads(escaped(line)) == json.loads(line)
