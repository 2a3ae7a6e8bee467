"""What people write becomes markup in which nothing can act."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.web.markdown import MOST_MARKUP, SHOWN_OF_LONG, read

TAGS = {"a", "blockquote", "br", "code", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
        "table", "tbody", "td", "th", "thead", "tr", "ul"}  # fmt: skip
REL = ("rel", "noopener noreferrer nofollow")


class Reader(HTMLParser):
    """What a browser would make of markup."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_harmless(markup: str) -> None:
    for tag, attributes in Reader(markup).tags:
        assert tag in TAGS
        for name, value in attributes:
            assert (tag, name) in {("a", "href"), ("a", "rel"), ("ol", "start"), ("td", "class"), ("th", "class"),
                                   ("p", "class")}  # fmt: skip
            if name == "href":
                assert re.match(r"(https?://[^/]|mailto:.|/(incidents/INC|runs/R)-[1-9][0-9]*$)", value or "", re.I)
                assert REL in attributes
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", markup)


def markup(text: str) -> str:
    return str(read(text).markup)


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!--<img src=x>-->",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](java&Tab;script:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A&#x61vascript:alert(1))",
    "[x](%6A%61vascript:alert(1))",
    "[x](\u202ejavascript:alert(1))",
    "[x](java&#x200e;script:alert(1))",
    "[x](java\\script:alert(1))",
    "[x](vbscript:x) [y](data:text/html;base64,PHN2Zz4=) [z](file:///etc/passwd)",
    "[x](//evil.example) [y](/sign-out) [z](?x) [w](http:/evil.example) [v](http:evil.example)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)> <JAVASCRIPT:alert(1)>",
    "![x](javascript:alert(1)) ![y](data:image/svg+xml,<svg>) ![z](https://example.org/z.png)",
    '[x](http://a.example/"onmouseover="alert(1) "t"onclick="x")',
    "[x](http://a.example/'><script>alert(1)</script>)",
    "```<script>\nx\n```\n\n`<script>`",
    "| <b> | ![x](javascript:x) |\n|:-:|--:|\n| <script> | `</td><script>` |",
    "# <script>\n###### x",
    "http://[bad https://a.example\u202e/gpj.exe mailto:x@example.org",
    "&lt;script&gt; &#60;script&#62; &NewLine; &#0; &#x202e;",
    "INC-1<script> INC-0 R-7'onclick='x INC-99999999999999999999",
    "\ud800 \x00 \x1b[31m \ufeff \u2028",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_can_act(text: str) -> None:
    assert_harmless(markup(text))


PIECES = st.sampled_from(["<", ">", "[", "](", ")", "!", "`", "|", "\n", "\n\n", "    ", "> ", "- ", "# ", "**", "~~",
                          "&#x6a;", "&Tab;", "javascript:", "http://a.example", "mailto:", "<script>", "onclick=",
                          '"', "'", "INC-1", "R-2", "|-|", "\\", "\u202e", "\x00", "x", " ", "data:",
                          "//", ":"])  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=4), max_size=40).map("".join))
def test_no_mixture_of_pieces_can_act(text: str) -> None:
    assert_harmless(markup(text))


@pytest.mark.parametrize(
    "text",
    ["[" * 20_000, "![" * 10_000, "> " * 10_000, "- " * 10_000, "\n".join(">" * i for i in range(199)),
     "*a **b " * 2500, "|" + "x|" * 3000 + "\n|" + "-|" * 3000 + "\n" + "|\n" * 3000, "a|b\n-|-\n" + "x\n" * 9000,
     "<" * 20_000,
     "&" * 20_000, "INC-1 " * 3300, "http://a.example " * 1200, "`" * 20_000, "\\" * 20_000, "x" * 1_000_000],
)  # fmt: skip
def test_what_is_huge_or_deep_stays_small_and_loses_no_beginning(text: str) -> None:
    prose = read(text)
    assert_harmless(str(prose.markup))
    if prose.is_cut:
        assert Reader(str(prose.markup)).text == text[:SHOWN_OF_LONG]
    assert len(prose.markup) <= MOST_MARKUP + 100


def test_quotes_deeper_than_a_parser_goes_are_shown_as_typed() -> None:
    text = "> " * 60 + "the cause"
    assert "the cause" in markup(text)


def test_headings_stay_below_those_of_the_page() -> None:
    assert [tag for tag, _ in Reader(markup("# a\n\n## b\n\n##### c")).tags] == ["h3", "h4", "h6"]


def test_names_and_addresses_become_links_where_they_stand_alone() -> None:
    links = re.findall(r'href="([^"]+)"', markup("(INC-42), R-7. https://a.example/x?y=1. XINC-1 INC-0 INC-4x /R-9"))
    assert links == ["/incidents/INC-42", "/runs/R-7", "https://a.example/x?y=1"]
    inside = markup("`INC-1` [see INC-2](https://a.example)")
    assert re.findall(r'href="([^"]+)"', inside) == ["https://a.example"]


def test_pictures_are_links_and_load_nothing() -> None:
    shown = markup("![graph](https://a.example/g.png) [![in a link](https://a.example/i.png)](https://b.example)")
    assert "<img" not in shown
    assert re.findall(r'href="([^"]+)"[^>]*>([^<]+)<', shown) == [
        ("https://a.example/g.png", "graph"), ("https://b.example", "in a link")
    ]  # fmt: skip


def test_lists_tables_code_and_strikethrough_are_understood() -> None:
    shown = markup("1. a\n   - b\n\n|x|y|\n|-|-:|\n|1|2|\n\n~~no~~ **yes**\n\n```sh\nrm x\n```\none\ntwo")
    for piece in ("<ol>", "<ul>", '<td class="right">2</td>', "<s>no</s>", "<strong>yes</strong>",
                  "<pre><code>rm x\n</code></pre>", "one<br>\ntwo"):  # fmt: skip
        assert piece in shown
