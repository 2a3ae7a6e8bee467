"""Show untrusted text to people: characters that could forge lines, or hide or reorder text, become escapes."""

import re
from typing import Final

# Control characters, Unicode's line and paragraph separators, the bidirectional controls (property Bidi_Control), and
# halves of surrogate pairs, which cannot be written at all.
_INVISIBLE: Final = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_LINE: Final = re.compile(rf"[{_INVISIBLE}\t\n]")
_IN_TEXT: Final = re.compile(rf"[{_INVISIBLE}]")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    """`text` with its line breaks and tabs; all other invisible characters become escapes such as \\u202e."""
    return _IN_TEXT.sub(_escape, text)


def visible_line(text: str) -> str:
    """`text` on one line; all invisible characters become escapes such as \\n and \\u202e."""
    return _IN_LINE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
