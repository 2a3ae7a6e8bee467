"""Validation of what people and programs send: one error names every wrong field and how to correct it."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ims.core.errors import FieldError, Invalid

M = TypeVar("M", bound=BaseModel)

# A text may contain tabs and line breaks. PostgreSQL cannot store NUL and lone surrogates; the others only serve to
# deceive a terminal or a reader.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_OR_BREAK: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

# The same rules as JSON Schema, for the API's OpenAPI description.
LINE_SCHEMA: Final = {"pattern": r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"}
FILLED_LINE_SCHEMA: Final = {
    "pattern": r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*"
    r"[^\x00-\x20\x7f-\xa0\u1680\u2000-\u206f\u3000]"
    r"[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"
}
"""One line that is not blank."""
TEXT_SCHEMA: Final = {"pattern": r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"}

_MESSAGES: Final = {
    "missing": "is missing",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_type": "must be a string",
    "string_unicode": "contains characters that are not valid text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
}
_LONGEST_NAME: Final = 100
_MOST_FIELDS: Final = 50


class Input(BaseModel):
    """Base of a form's input: surrounding whitespace is stripped and unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


def one_line(value: str) -> str:
    """Check a value that is one line. Raises `ValueError`, as Pydantic expects."""
    if _CONTROL_OR_BREAK.search(value):
        raise ValueError("must be one line without control characters")
    return value


def plain_text(value: str) -> str:
    """Check a value that may have several lines, and convert it to Unix line breaks. Raises `ValueError`."""
    value = value.replace("\r\n", "\n")
    if _CONTROL.search(value):
        raise ValueError("must not contain control characters")
    return value


def read(model: type[M], given: Mapping[str, object]) -> M:
    """Validate a form or another flat mapping. Raises `Invalid`, which names every wrong field and the remedy."""
    found: M = check(model, dict(given))
    return found


def check(kind: Any, given: Any) -> Any:
    """Validate a value against a Pydantic type. Raises `Invalid`, which names every wrong field and the remedy."""
    is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
    try:
        return kind.model_validate(given) if is_model else TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        known = _names(kind) if is_model else []
        wrong = error.errors(include_url=False, include_input=False)[:_MOST_FIELDS]
        raise Invalid(fields=[FieldError(_place(one["loc"]), _message(one, known)) for one in wrong]) from None


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _place(path: tuple[int | str, ...]) -> str:
    """The path of a field as its sender wrote it, such as `labels.team`; `body` for the whole body."""
    # Pydantic puts the alternatives of a union in angle brackets.
    place = ".".join(part for part in map(str, path) if not (part.startswith("<") and part.endswith(">"))) or "body"
    return place.encode("utf-8", "replace").decode()[:_LONGEST_NAME]


def _message(error: Any, known: list[str]) -> str:
    kind, message = error["type"], str(error["msg"])
    if kind == "extra_forbidden":
        near = get_close_matches(str(error["loc"][-1])[:_LONGEST_NAME], known, n=1)
        return f"is not known: did you mean {near[0]}?" if near else f"is not known; allowed are {', '.join(known)}"
    if kind in ("literal_error", "enum"):
        return f"must be one of {error['ctx']['expected']}".replace("'", "")
    if kind == "string_too_long":
        return message.replace("String should have", "may have")
    if kind == "string_too_short" and (least := error["ctx"]["min_length"]) > 1:
        return f"must have at least {least} characters"
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    message = message.removeprefix("Value error, ")
    for noun in ("Input", "List", "Dictionary", "String"):
        message = message.replace(f"{noun} should", "must")
    return message[:1].lower() + message[1:]
