"""Render user-written Markdown (CommonMark with tables and strikethrough) as safe HTML.

Two independent layers: markdown-it-py passes no HTML through (`html` is off, every link is checked), and nh3 keeps only
the tags and attributes named here. The database stores the text as it was typed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import nh3
from flask import has_request_context, request
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup, escape

from ims.core.shown import visible

SCHEMES: Final = frozenset({"http", "https", "mailto"})
"""Allowed schemes of links; links to incidents and runs are paths."""
MOST_LINKS: Final = 200
"""Limit on links made from references (INC-42) and bare URLs in one text; the rest stays plain text."""
MOST_MARKUP: Final = 24_000
"""Characters of markup. Of a longer text only the beginning is shown, as plain text, to limit the size of a page."""
SHOWN_OF_LONG: Final = 4_000
"""Characters shown of a text that is too long."""
MOST_BRACKETS: Final = 2_000
MOST_CELLS: Final = 10_000
"""Limits on input that takes the parser seconds: unclosed brackets and huge empty tables."""
MOST_LEVELS: Final = 24
"""Nesting of lists and quotes. The parser drops deeper levels, so a text that exceeds it is shown as plain text."""

_TAGS: Final = {
    "a", "blockquote", "br", "code", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong", "table",
    "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ALIGNMENTS: Final = {"text-align:right": "right", "text-align:center": "center"}
_ROOT: Final = "root"
_PLACES: Final = {"INC": "/incidents/", "R": "/runs/"}

# The same characters that input validation rejects: entities such as &#x202e; would bring them back.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# A reference (INC-42, R-7), or a bare URL without the punctuation that ends the sentence around it.
_MENTION: Final = re.compile(
    r"(?<![\w/-])(?:(?P<kind>INC|R)-[1-9][0-9]{0,17}(?![\w-])"
    r"|https?://[^\s<>\"'`]{0,2000}[^\s<>\"'`.,;:!?)\]}])"
)


@dataclass(frozen=True, slots=True)
class Prose:
    """A text ready for a page. `is_cut`: it is only the beginning."""

    markup: Markup
    is_cut: bool = False


@lru_cache(maxsize=256)
def read(text: str, root: str = "") -> Prose:
    """`text` as markup. Headings start at level 3: the page has level 1 and the panel level 2.

    `root` is the path that a proxy has put IMS below.
    """
    text = visible(text.replace("\r\n", "\n"))
    if text.count("[") > MOST_BRACKETS or _cells(text) > MOST_CELLS:
        return _as_typed(text)
    tokens = _READER.parse(text, {_ROOT: root})
    if _depth(tokens) > MOST_LEVELS:
        return _as_typed(text)
    rendered: str = _READER.renderer.render(tokens, _READER.options, {})
    if len(rendered) > MOST_MARKUP:
        return _as_typed(text)
    return Prose(Markup(_SIEVE.clean(rendered)))  # noqa: S704 - sanitised by nh3


def read_here(text: str) -> Prose:
    """`text` as markup for a page of this request."""
    return read(text, request.script_root if has_request_context() else "")


def _as_typed(text: str) -> Prose:
    is_cut = len(escape(text)) > MOST_MARKUP
    shown = text[:SHOWN_OF_LONG] if is_cut else text
    return Prose(Markup('<p class="as-typed">{}</p>').format(shown), is_cut)


def _cells(text: str) -> int:
    """Upper bound of table cells: the parser fills short rows up to the number of columns of the delimiter row."""
    lines = text.splitlines()
    widest = max((line.count("|") for line in lines if not any(map(str.isalpha, line))), default=0)
    return widest * len(lines)


def _depth(tokens: list[Token]) -> int:
    inner = (child.level for token in tokens for child in token.children or ())
    return max((*(token.level for token in tokens), *inner), default=0)


def is_allowed(address: str) -> bool:
    """Whether links to the address are allowed: a known scheme, a host, and no invisible characters."""
    if _CONTROL.search(address):
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    # Only with an explicit scheme: browsers guess what `//host` and `java&Tab;script:` mean.
    is_written = address.lower().startswith(f"{parts.scheme}:")
    has_place = bool(parts.netloc) or (parts.scheme == "mailto" and bool(parts.path))
    return is_written and parts.scheme in SCHEMES and has_place


def _finish(state: StateCore) -> None:
    """After parsing: shift headings down, and turn images, references and bare URLs into links."""
    budget = [MOST_LINKS]
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
        elif token.type in ("th_open", "td_open"):
            _align(token)
        elif token.type == "inline":
            token.children = list(_with_links(token.children or [], budget, state.env.get(_ROOT, "")))


def _align(token: Token) -> None:
    """Use a class instead of an inline style, which the content security policy blocks."""
    style = str(token.attrs.pop("style", ""))
    if style in _ALIGNMENTS:
        token.attrs["class"] = _ALIGNMENTS[style]


def _with_links(children: list[Token], budget: list[int], root: str) -> Iterator[Token]:
    """The tokens of a line, with texts split where a link is inserted. Links are not nested."""
    inside = 0
    for token in children:
        inside += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        token.content = _CONTROL.sub("", token.content)
        if token.type == "image":
            label = _CONTROL.sub("", token.content) or "image"
            yield from [_text(label)] if inside else _link(str(token.attrs.get("src", "")), label)
        elif token.type == "text" and not inside:
            yield from _split(token.content, budget, root)
        else:
            yield token


def _split(text: str, budget: list[int], root: str) -> Iterator[Token]:
    begin = 0
    for found in _MENTION.finditer(text):
        address = root + _PLACES[found["kind"]] + found[0] if found["kind"] else found[0]
        if budget[0] <= 0 or not (found["kind"] or is_allowed(address)):
            continue
        budget[0] -= 1
        yield _text(text[begin : found.start()])
        yield from _link(address, found[0])
        begin = found.end()
    yield _text(text[begin:])


def _link(address: str, label: str) -> list[Token]:
    return [Token("link_open", "a", 1, attrs={"href": address}), _text(label), Token("link_close", "a", -1)]


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _reader() -> MarkdownIt:
    """The parser. It keeps line breaks: people type notes like messages, not like articles."""
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
