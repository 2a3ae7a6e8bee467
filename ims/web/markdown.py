"""What people write, as markup for pages: CommonMark with tables and strikethrough, and nothing in it that could act.

Two walls of different make: markdown-it-py writes no HTML of others (`html` is off, every link is looked at), and nh3
lets pass only the tags and attributes named here. What is stored stays as it was typed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup, escape

SCHEMES: Final = frozenset({"http", "https", "mailto"})
"""Where a link may lead, other than to an incident or a run."""
MOST_LINKS: Final = 200
"""Links made of names and bare addresses in one text; what comes after them stays text."""
MOST_MARKUP: Final = 24_000
"""Characters: of a text that grows beyond it only the beginning is shown, as it was typed; a page has an end."""
SHOWN_OF_LONG: Final = 4_000
"""Characters shown of such a text."""
MOST_BRACKETS: Final = 2_000
MOST_CELLS: Final = 10_000
"""Beyond these a parser takes seconds over what nobody means: brackets that never close, tables of nothing."""
MOST_LEVELS: Final = 24
"""Lists in lists in quotes, deeper than anybody writes. What lies below would not be shown, so all is as typed."""

_TAGS: Final = {
    "a", "blockquote", "br", "code", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong", "table",
    "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ALIGNMENTS: Final = {"text-align:right": "right", "text-align:center": "center"}
_PLACES: Final = {"INC": "/incidents/", "R": "/runs/"}

# The same that input.py refuses: entities such as &#x202e; would bring them back.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# A name that stands for itself (INC-42, R-7), or a bare address without what closes the sentence around it.
_MENTION: Final = re.compile(
    r"(?<![\w/-])(?:(?P<kind>INC|R)-[1-9][0-9]{0,17}(?![\w-])"
    r"|https?://[^\s<>\"'`]{0,2000}[^\s<>\"'`.,;:!?)\]}])"
)


@dataclass(frozen=True, slots=True)
class Prose:
    """A text ready for a page. `is_cut` says that it is only the beginning."""

    markup: Markup
    is_cut: bool = False


@lru_cache(maxsize=256)
def read(text: str) -> Prose:
    """`text` as markup. Headings begin at the third level: the page has the first, the panel around it the second."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n"))
    if text.count("[") > MOST_BRACKETS or _cells(text) > MOST_CELLS:
        return _as_typed(text)
    tokens = _READER.parse(text)
    if _depth(tokens) > MOST_LEVELS:
        return _as_typed(text)
    rendered: str = _READER.renderer.render(tokens, _READER.options, {})
    if len(rendered) > MOST_MARKUP:
        return _as_typed(text)
    return Prose(Markup(_SIEVE.clean(rendered)))  # noqa: S704 - what nh3 let pass


def _as_typed(text: str) -> Prose:
    is_cut = len(escape(text)) > MOST_MARKUP
    shown = text[:SHOWN_OF_LONG] if is_cut else text
    return Prose(Markup('<p class="as-typed">{}</p>').format(shown), is_cut)


def _cells(text: str) -> int:
    """Cells a table could have at most: a row that ends early is filled up to the width of the line of dashes."""
    lines = text.splitlines()
    widest = max((line.count("|") for line in lines if not any(map(str.isalpha, line))), default=0)
    return widest * len(lines)


def _depth(tokens: list[Token]) -> int:
    inner = (child.level for token in tokens for child in token.children or ())
    return max((*(token.level for token in tokens), *inner), default=0)


def is_allowed(address: str) -> bool:
    """Whether a link may lead there: a known scheme, a host, and nothing in it that a reader would not see."""
    if _CONTROL.search(address):
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    # Only with its scheme written out: what `//host` and `java&Tab;script:` mean is for a browser to guess.
    is_written = address.lower().startswith(f"{parts.scheme}:")
    has_place = bool(parts.netloc) or (parts.scheme == "mailto" and bool(parts.path))
    return is_written and parts.scheme in SCHEMES and has_place


def _finish(state: StateCore) -> None:
    """After the text was read: headings go down, images become links, names and addresses too."""
    budget = [MOST_LINKS]
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
        elif token.type in ("th_open", "td_open"):
            _align(token)
        elif token.type == "inline":
            token.children = list(_with_links(token.children or [], budget))


def _align(token: Token) -> None:
    """A class instead of a style, which the content policy refuses."""
    style = str(token.attrs.pop("style", ""))
    if style in _ALIGNMENTS:
        token.attrs["class"] = _ALIGNMENTS[style]


def _with_links(children: list[Token], budget: list[int]) -> Iterator[Token]:
    """The parts of a line, each text in them split where something can be linked. A link holds no other link."""
    inside = 0
    for token in children:
        inside += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        token.content = _CONTROL.sub("", token.content)
        if token.type == "image":
            words = _CONTROL.sub("", token.content) or "image"
            yield from [_text(words)] if inside else _link(str(token.attrs.get("src", "")), words)
        elif token.type == "text" and not inside:
            yield from _split(token.content, budget)
        else:
            yield token


def _split(text: str, budget: list[int]) -> Iterator[Token]:
    begin = 0
    for found in _MENTION.finditer(text):
        address = _PLACES[found["kind"]] + found[0] if found["kind"] else found[0]
        if budget[0] <= 0 or not (found["kind"] or is_allowed(address)):
            continue
        budget[0] -= 1
        yield _text(text[begin : found.start()])
        yield from _link(address, found[0])
        begin = found.end()
    yield _text(text[begin:])


def _link(address: str, words: str) -> list[Token]:
    return [Token("link_open", "a", 1, attrs={"href": address}), _text(words), Token("link_close", "a", -1)]


def _text(words: str) -> Token:
    return Token("text", "", 0, content=words)


def _reader() -> MarkdownIt:
    """The parser. Line breaks stay: notes are typed like messages, not like articles."""
    options: Mapping[str, object] = {"html": False, "breaks": True, "maxNesting": 100}
    reader = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    reader.validateLink = is_allowed  # type: ignore[method-assign, assignment]
    reader.core.ruler.push("finish", _finish)
    return reader


_READER: Final = _reader()
_SIEVE: Final = nh3.Cleaner(
    tags=_TAGS,
    attributes={"a": {"href"}, "ol": {"start"}},
    allowed_classes={"td": set(_ALIGNMENTS.values()), "th": set(_ALIGNMENTS.values())},
    url_schemes=set(SCHEMES),
    link_rel="noopener noreferrer nofollow",
    strip_comments=True,
)
