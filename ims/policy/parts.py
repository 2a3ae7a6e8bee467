"""Base model and field types that all parts of a policy share: names, texts, conditions on labels."""

import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StrictStr, Tag
from pydantic_core import PydanticCustomError

from ims.policy.patterns import PATTERN_LENGTH, check_pattern, compile_pattern

NAME_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
"""Names that are safe as Ansible's `--limit`: without wildcards, `!`, `~` and `@`."""
NAME_LENGTH = 128

LABEL_NAME_LENGTH = 256
"""Longest name of a label, in characters."""
_UNWRITABLE = re.compile('^"|[\x00-\x1f\x7f\ud800-\udfff]')
MATCHED_LENGTH = 1024
"""Characters of the longest label value that a pattern is applied to; a longer value does not match."""


def fault(message: str) -> PydanticCustomError:
    """A validation error with this message."""
    # Passed as a parameter, because Pydantic would read braces in the message as a template.
    return PydanticCustomError("policy", "{message}", {"message": message})


def check_name(value: str) -> str:
    """Return a name that is safe as Ansible's `--limit`. Raises the fault otherwise."""
    if not NAME_PATTERN.fullmatch(value) or len(value) > NAME_LENGTH:
        raise fault(
            f"{value[:NAME_LENGTH]!r} is not a valid name: use a-z, A-Z, 0-9, dots, hyphens and underscores, begin "
            f"with a letter or digit, and use at most {NAME_LENGTH} characters."
        )
    return value


def _check_regex(value: str) -> str:
    if problem := check_pattern(value):
        raise fault(problem)
    return value


Name = Annotated[StrictStr, AfterValidator(check_name)]
Text = Annotated[StrictStr, Field(max_length=4000)]
Pattern = Annotated[StrictStr, Field(max_length=PATTERN_LENGTH), AfterValidator(_check_regex)]


class PolicyPart(BaseModel):
    """Base of all models of a policy: frozen, without unknown keys and without type coercion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class LabelPattern(PolicyPart):
    """A pattern in RE2 syntax that must match the whole value of a label, as in Alertmanager."""

    regex: Pattern


MatchValue = Annotated[
    Annotated[StrictStr, Tag("<text>")] | Annotated[LabelPattern, Tag("<pattern>")],
    Discriminator(lambda given: "<text>" if not isinstance(given, dict | LabelPattern) else "<pattern>"),
]
"""The tags in angle brackets are not keys of the policy; `validation.py` omits them from a fault's field."""


class Matcher(PolicyPart):
    """One condition of a rule: a label has a value, or its whole value matches a pattern.

    A missing label counts as empty, as in Alertmanager.
    """

    label: StrictStr
    value: StrictStr | None = None
    regex: StrictStr | None = None

    @cached_property
    def _fits(self) -> Callable[[str], bool] | None:
        return None if self.regex is None else compile_pattern(self.regex)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels of an alert fulfil this condition."""
        value = labels.get(self.label, "")
        if self._fits is None:
            return value == self.value
        return len(value) <= MATCHED_LENGTH and self._fits(value)


def check_label(name: str) -> str:
    """A label's name: any text, as in Prometheus 3, quoted as there or bare. Raises the fault for what is none."""
    bare = name
    if name.startswith('"'):
        try:
            bare = json.loads(name)
        except ValueError:
            raise fault(f"{name[:LABEL_NAME_LENGTH]!r}: the quotes do not end, or something follows them.") from None
    if not bare or len(bare) > LABEL_NAME_LENGTH or _UNWRITABLE.search(bare):
        raise fault(
            f"{name[:LABEL_NAME_LENGTH]!r} is not a label name: it must have 1 to {LABEL_NAME_LENGTH} characters, "
            "none of them a control character and the first one no quote."
        )
    return bare


LabelName = Annotated[StrictStr, AfterValidator(check_label)]


def check_match(match: dict[str, Any]) -> dict[str, Any]:
    """Return conditions by the label's bare name. Raises the fault for an invalid name, or one that is there twice."""
    found: dict[str, Any] = {}
    for name, value in match.items():
        bare = check_label(name)
        if bare in found:
            raise fault(f"{bare!r} is there twice, with quotes and without: remove one.")
        found[bare] = value
    return found


def matchers_of(match: Mapping[str, str | LabelPattern]) -> tuple[Matcher, ...]:
    """The conditions as matchers; an alert must fulfil all of them."""
    return tuple(
        Matcher(label=label, value=value) if isinstance(value, str) else Matcher(label=label, regex=value.regex)
        for label, value in match.items()
    )
