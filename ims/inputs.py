"""What people and programs write: checked at once, every wrong field named."""

import re
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ims.errors import FieldError, Invalid

# Tabs and line breaks may stand in a text; NUL and lone surrogates cannot be stored, the others only serve to deceive a
# terminal or a reader.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_OR_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(value: str) -> str:
    """Check a value that is one line. Raises `ValueError`, as Pydantic wants it."""
    if _CONTROL_OR_BREAK.search(value):
        raise ValueError("must be one line without control characters")
    return value


def plain_text(value: str) -> str:
    """Check a value that may have several lines, and give it Unix line breaks. Raises `ValueError`."""
    value = value.replace("\r\n", "\n")
    if _CONTROL.search(value):
        raise ValueError("must not contain control characters")
    return value


class Input(BaseModel):
    """Base of what may be written: blanks around a value are no part of it."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


M = TypeVar("M", bound=BaseModel)

_WORDS = {
    "missing": "is missing",
    "string_too_short": "must not be empty",
    "literal_error": "must be one of the offered values",
    "enum": "must be one of the offered values",
}


def read(model: type[M], given: Mapping[str, object]) -> M:
    """Check what was given. Raises `Invalid` naming every wrong field and the remedy."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        raise Invalid(fields=[FieldError(str(e["loc"][0]), _words(e["type"], e["msg"])) for e in wrong]) from error


def _words(kind: str, message: str) -> str:
    if kind == "string_too_long":
        return message.replace("String should have", "may have")
    return _WORDS.get(kind, message.removeprefix("Value error, "))
