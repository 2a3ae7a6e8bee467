"""Text from outside can neither forge lines nor hide or reorder what is shown."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.cli.output import note, print_fields, print_table, say
from ims.core.log import configure_logging, logger
from ims.core.settings import Settings
from ims.core.shown import visible, visible_line

FORGED = "\r\n2026-01-01 00:00:00 signed_in account=root"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\x9b31m", "\\x9b31m"),
        ("gnp.\u202eexe", "gnp.\\u202eexe"),
        ("a\u2028b\u2029c\x85d", "a\\u2028b\\u2029c\\x85d"),
        ("\u061c\u200e\u200f\u2066\u2069", "\\u061c\\u200e\\u200f\\u2066\\u2069"),
        ("\0\x7f\ud800", "\\x00\\x7f\\ud800"),
        # Letters of any script, emoji of several code points, and joiners that scripts need stay as they are.
        ("Größe 漢字 שלום می‌خواهم 👩‍🔧", "Größe 漢字 שלום می‌خواهم 👩‍🔧"),
    ],
)
def test_what_cannot_be_seen_is_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible_line(text) == shown


def test_lines_stay_where_a_text_may_have_some() -> None:
    assert visible("a\tb\nc\r\n") == "a\tb\nc\\r\n"
    assert visible_line("a\tb\nc\r\n") == "a\\tb\\nc\\r\\n"


@given(st.text(st.characters(), max_size=60))
def test_a_line_is_one_line_for_everybody_who_splits_lines(text: str) -> None:
    assert len(visible_line(text).splitlines()) <= 1
    visible(text).encode()


def test_the_command_prints_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name"], [[f"web{FORGED}"]])
    print_fields({"title": f"down\u202e{FORGED}"})
    say("a\x1b[31m\u202eb\nc")
    note("d\x07e")
    printed = capsys.readouterr()
    assert printed.out == (
        "NAME\nweb\\r\\n2026-01-01 00:00:00 signed_in account=root\n"
        "title  down\\u202e\\r\\n2026-01-01 00:00:00 signed_in account=root\n"
        "a\\x1b[31m\\u202eb\nc\n"
    )
    assert printed.err == "d\\x07e\n"


@pytest.fixture
def log_lines(tmp_path: Path) -> Iterator[io.StringIO]:
    """What the readable format writes; other tests get their own logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(Settings(state_dir=tmp_path, log_format="console"), "test")
    output = io.StringIO()
    root.handlers[0].setStream(output)  # type: ignore[attr-defined]
    yield output
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_value_in_a_readable_log_forges_no_line(log_lines: io.StringIO) -> None:
    logger("test").warning("sign_in_failed", account=f"bob{FORGED}\u202e\x1b[2K")
    logging.getLogger("library").warning("message of a library%s", FORGED)
    lines = log_lines.getvalue().splitlines()
    assert len(lines) == 2
    assert "bob\\r\\n2026-01-01" in lines[0]
    assert "\\u202e\\x1b[2K" in lines[0]
