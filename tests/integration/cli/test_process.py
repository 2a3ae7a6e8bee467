"""What only a whole process shows: terminals and pipes, what is imported, servers that are not there or not IMS."""

import http.client
import http.server
import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Server
from tests.support.command import IMS, environment, typed
from tests.support.http_server import Quiet, answering

ROOT = Path(__file__).resolve().parents[3]


def on_terminal(given: dict[str, str], *words: str) -> str:
    """What a terminal gets to show."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([IMS, *words], env=given, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # The last one has closed it.
                break
            if not part:
                break
            shown += part
        os.close(ours)
        assert process.wait(30) == 0, shown
    return shown.decode()


def test_a_terminal_gets_a_table_and_nothing_that_a_title_says_to_it(server: Server) -> None:
    shown = on_terminal(server.environment, "incident", "list")
    assert "\x1b[1mINCIDENT" in shown, "a terminal's table has a head in bold"
    assert "[bold]odd[/bold]" in shown, "a title in square brackets is a title"
    for harmful in ("\x1b[31m", "\x1b]0;", "\x07", "\x9b"):
        assert harmful not in shown


def test_a_pipe_gets_aligned_text_and_no_colours(server: Server) -> None:
    done = typed(server.environment, "incident", "list")
    head, row = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert head.split()[:3] == ["INCIDENT", "STATUS", "SEVERITY"]
    assert row.index("low") == head.index("SEVERITY")
    assert "\x1b" not in done.stdout


def test_json_keeps_every_character_and_none_that_a_terminal_obeys(server: Server) -> None:
    done = typed(server.environment, "incident", "list", "--json")
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    (row,) = json.loads(done.stdout)
    assert "\x1b[31m" in row["title"] or "red" in row["title"]


def test_a_reader_that_goes_away_is_no_error(server: Server) -> None:
    with subprocess.Popen(
        [IMS, "incident", "list"], env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 0)


def test_a_forbidden_command_names_the_token_and_what_to_do(server: Server) -> None:
    wrong = typed(environment(IMS_URL=server.url, IMS_TOKEN="ims_wrong"), "incident", "list")
    assert wrong.returncode == 6
    assert "The token from IMS_TOKEN is invalid or has expired" in wrong.stderr
    missing = typed(environment(IMS_URL=server.url), "incident", "list")
    assert missing.returncode == 6
    assert "There is no token. Set IMS_TOKEN" in missing.stderr
    looking = environment(IMS_URL=server.url, IMS_TOKEN=server.viewer)
    assert typed(looking, "incident", "list").returncode == 0
    refused = typed(looking, "incident", "ack", "INC-1")
    assert refused.returncode == 6
    assert "ims profile show" in refused.stderr


def test_the_profile_says_which_server_and_who(server: Server, tmp_path: Path) -> None:
    shown = json.loads(typed(server.environment, "profile", "show", "--json").stdout)
    assert (shown["url"], shown["from"], shown["name"], shown["role"]) == (server.url, "IMS_URL", "root", "admin")
    token = tmp_path / "token"
    token.write_text(server.viewer)
    profile = tmp_path / "command.toml"
    profile.write_text(f'url = "{server.url}"\ntoken_file = "{token}"\n')
    for file in (token, profile):
        file.chmod(0o600)
    stored = environment(IMS_STATE_DIR=str(tmp_path))
    shown = json.loads(typed(stored, "profile", "show", "--json").stdout)
    assert (shown["from"], shown["name"], shown["role"]) == (str(profile), "victor", "viewer")
    assert server.viewer not in typed(stored, "profile", "show").stdout
    token.write_text("ims_revoked")
    revoked = typed(stored, "incident", "list")
    assert revoked.returncode == 6
    assert f"The token from {token} is invalid or has expired. `make up` replaces it" in revoked.stderr
    profile.chmod(0o644)
    refused = typed(stored, "incident", "list")
    assert refused.returncode == 6
    assert f"{profile} is readable by other users" in refused.stderr


def test_a_server_that_is_away_is_named_with_where_its_address_stands() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = typed(environment(IMS_URL=url, IMS_TOKEN="x"), "incident", "list")
    assert done.returncode == 5
    assert f"{url} does not answer" in done.stderr
    assert "The URL is set in IMS_URL" in done.stderr


class Other(Quiet):
    """A server that is not IMS; the first part of the path selects its behaviour."""

    def do_GET(self) -> None:
        problem = {"title": "x", "detail": "no\x1b]0;title\x07", "errors": [{"field": "a\x9b2J", "message": "b"}]}
        answers: dict[str, tuple[int, bytes]] = {
            "page": (200, b"<html>Welcome</html>"),
            "list": (200, b"[1]"),
            "object": (200, b'{"a": 1}'),
            "problem": (422, json.dumps(problem).encode()),
            "elsewhere": (301, b""),
        }
        status, body = answers[self.path.split("/")[1]]
        self.answer(status, body, **({"Location": "https://ims.example.org/"} if status == 301 else {}))


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("page", 1, "is not IMS"),
        ("list", 1, "is not IMS"),
        ("object", 1, "is not IMS"),
        ("elsewhere", 1, "redirects to https://ims.example.org/"),
        ("problem", 2, "no\\x1b]0;title\\x07"),
    ],
)
def test_what_is_no_ims_is_one_sentence_without_anything_for_the_terminal(kind: str, code: int, said: str) -> None:
    with answering(Other) as url:
        done = typed(environment(IMS_URL=f"{url}/{kind}", IMS_TOKEN="x"), "incident", "list")
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not {"\x1b", "\x07", "\x9b"} & set(done.stderr)


def test_an_incident_that_is_opened_over_a_connection_that_breaks_is_opened_once(server: Server) -> None:
    upstream = server.url.removeprefix("http://")
    keys: list[str | None] = []

    class Breaking(Quiet):
        """Passes everything on, but cuts the connection off before the first answer."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            ours = http.client.HTTPConnection(upstream)
            ours.request("POST", self.path, body, dict(self.headers))
            answered = ours.getresponse()
            keys.append(self.headers["Idempotency-Key"])
            if len(keys) > 1:
                self.answer(answered.status, answered.read())
            ours.close()

    with answering(Breaking) as url:
        done = typed(environment(IMS_URL=url, IMS_TOKEN=server.token), "incident", "open", "Backups are late")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(keys) == 2
    assert keys[0] == keys[1]
    listed = json.loads(typed(server.environment, "incident", "list", "--search", "Backups", "--json").stdout)
    assert [f"{one['incident']} opened\n" for one in listed] == [done.stdout]


HEAVY = {"alembic", "ansible", "authlib", "flask", "httpx2", "procrastinate", "psycopg", "rich", "sqlalchemy"}
CLIENT = {"httpx2"}


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (("--help",), set()),
        (("incident", "--help"), set()),
        (("incident", "list", "--help"), set()),
        (("admin", "--help"), set()),
        (("incident", "list"), CLIENT),
        (("run", "show", "R-99999"), CLIENT),
    ],
)
def test_a_command_imports_what_it_needs_and_no_more(server: Server, words: tuple[str, ...], allowed: set[str]) -> None:
    program = "import sys; from ims.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=server.environment, capture_output=True, text=True, check=True
    )
    assert {name.split(".")[0] for name in done.stderr.split()} & HEAVY == allowed


def test_a_policy_is_checked_with_neither_server_nor_database_nor_settings(tmp_path: Path) -> None:
    bare = {"PATH": os.environ["PATH"]}
    done = typed(bare, "policy", "check", "--root", str(ROOT), "--inventory", "inventory/local", directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok digest=")
    assert list(tmp_path.iterdir()) == []
