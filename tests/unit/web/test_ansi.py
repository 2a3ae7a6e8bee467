"""Terminal colours: what a playbook prints is never markup and never moves anything."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from ims.runs.ansi import to_markup, to_plain


def test_colours_become_classes() -> None:
    text = "\x1b[0;32mok: [web]\x1b[0m then \x1b[1;31mfatal\x1b[0m"
    expected = '<span class="ansi-green">ok: [web]</span> then <span class="ansi-bold ansi-red">fatal</span>'
    assert to_markup(text) == expected


def test_markup_in_a_log_is_shown_and_not_obeyed() -> None:
    shown = to_markup('\x1b[31m<script>alert(1)</script>\x1b[0m & "q"')
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_sequences_that_move_the_cursor_or_set_a_title_are_dropped() -> None:
    text = "a\x1b[2Jb\x1b[10;10Hc\x1b]0;title\x07d\x1b]8;;https://x\x1b\\e\r\x08\x07f\x9b31mg"
    shown = "abcde\\x08\\x07f\\x9b31mg"
    assert to_markup(text) == shown
    assert to_plain(text) == shown


def test_characters_that_turn_the_direction_of_text_are_shown_as_escapes() -> None:
    assert to_plain("a\u202eb\u2066c\u2028d") == "a\\u202eb\\u2066c\\u2028d"
    assert to_markup("\x1b[31ma\u202eb") == '<span class="ansi-red">a\\u202eb</span>'


def test_absurd_codes_do_no_harm() -> None:
    assert to_markup("\x1b[99999999999999999999;;38;5;208mx") == "x"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))


@given(st.text(st.sampled_from(list("<>&\"'[];m0135\x1b\x9b]/ax \n=")), max_size=60))
def test_no_text_makes_any_tag_but_spans_with_our_classes(text: str) -> None:
    parser = _Tags()
    parser.feed(to_markup(text))
    parser.close()
    for tag, attributes in parser.tags:
        assert tag == "span"
        assert all(name == "class" and value and value.startswith("ansi-") for name, value in attributes)
    assert "\x1b" not in to_markup(text)
