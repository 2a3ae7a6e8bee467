"""The reference names every key, with the default that the models have."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ims.policy.alert_formats import AlertFormat
from ims.policy.parts import MATCHED_LENGTH, NAME_LENGTH
from ims.policy.patterns import PATTERN_LENGTH
from ims.policy.schedules import Layer, Restriction, Schedule
from ims.policy.schema import (
    RESERVED_PARAMETERS,
    SEVERITY_MAP,
    Correlation,
    Flapping,
    HealingRule,
    Parameter,
    Policy,
    Retention,
    Service,
    VerifyWindow,
)
from ims.policy.windows import MaintenanceWindow

REFERENCE = (Path(__file__).parents[3] / "docs/reference/policy.md").read_text(encoding="utf-8")


def tables() -> list[dict[str, str]]:
    """Each table with three columns: its keys with their defaults."""
    found: list[dict[str, str]] = []
    for line in REFERENCE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|---"):
            found.append({})
        elif cells[0].startswith("`") and len(cells) == 3:
            found[-1][cells[0].strip("`")] = cells[1]
    return found


OWN_WORDS = {
    "service": "the host's name",
    "unit": "the host's name",
    "verify": "see below",
    "flapping": "see below",
    "exporter_pattern": "see below",
    "days": "every day",
}
KEYS = [
    (model, name)
    for model, left_out in (
        (Service, {"name"}),
        (HealingRule, set()),
        (VerifyWindow, set()),
        (Parameter, set()),
        (Correlation, set()),
        (Flapping, set()),
        (MaintenanceWindow, set()),
        (Retention, set()),
        (AlertFormat, set()),
        (Schedule, set()),
        (Layer, set()),
        (Restriction, set()),
        (Policy, {"inventory", "correlation", "retention", "services", "hosts", "groups"}),
    )
    for name in model.model_fields
    if name not in left_out
]


def written(value: object) -> str:
    """A default as the reference writes it."""
    if value is None:
        return "none"
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`"


@pytest.mark.parametrize(("model", "name"), KEYS, ids=lambda part: getattr(part, "__name__", part))
def test_every_key_stands_in_the_reference_with_its_default(model: type[BaseModel], name: str) -> None:
    field = model.model_fields[name]
    key = field.alias or name
    keys = {inner.alias or own for own, inner in model.model_fields.items()}
    # Tables share names; a model's own is the one with most of its keys. The policy's variables stand in several.
    own = max(tables(), key=lambda table: len(keys & table.keys()) / len(table) if table else 0)
    rows = {key: default for table in tables() for key, default in table.items()} if model is Policy else own
    assert key in rows
    own_words = {} if model is AlertFormat else OWN_WORDS
    assert rows[key] == own_words.get(key, written(field.default))


def test_the_reference_names_the_limits_and_the_reserved_names() -> None:
    assert all(f"`{name}`" in REFERENCE for name in RESERVED_PARAMETERS)
    assert f"at most {PATTERN_LENGTH} characters" in REFERENCE
    assert f"over {MATCHED_LENGTH} characters" in REFERENCE
    assert f"at most {NAME_LENGTH} characters" in REFERENCE


def test_the_reference_names_the_pattern_of_exporters() -> None:
    assert f"`{Correlation().exporter_pattern}`" in REFERENCE


def test_the_reference_names_every_severity() -> None:
    line = next(line for line in REFERENCE.splitlines() if line.startswith("| `severity_map`"))
    for part in re.findall(r"((?:`\w+`(?:, )?)+) → (\w+)", line):
        words = re.findall(r"`(\w+)`", part[0])
        assert words
        assert all(SEVERITY_MAP[word] == part[1] for word in words)
    assert all(f"`{word}`" in line for word in SEVERITY_MAP)
