"""Which rule an alert meets, and what its playbook is given."""

import re
from collections.abc import Mapping
from typing import Any

from ims.policy.patterns import compile_pattern
from ims.policy.schema import HealingRule, Parameter, Policy

PARAMETER_LENGTH = 1024
"""Characters of a parameter's text; a longer one is refused."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class ParameterUnfit(ValueError):
    """A declared parameter has no value, or one that does not fit; the text says which and is ours, not the alert's."""


def rule_for(policy: Policy, labels: Mapping[str, str]) -> HealingRule | None:
    """The first rule whose conditions all hold for an alert's labels, None if there is none."""
    return next((rule for rule in policy.healing_rules if rule.matches(labels)), None)


def parameters_of(rule: HealingRule, labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    """The values of a rule's declared parameters for one alert. Raises `ParameterUnfit`."""
    sources = {"labels": labels, "annotations": annotations}
    return {name: _value(name, declared, sources) for name, declared in rule.parameters.items()}


def _value(name: str, declared: Parameter, sources: Mapping[str, Mapping[str, str]]) -> str | int | bool:
    text = None
    if declared.source is not None:
        kind, _, key = declared.source.partition(".")
        text = sources[kind].get(key)
    if text is None:
        if declared.default is None:
            raise ParameterUnfit(f"Parameter {name} is missing: the alert has no {declared.source}.")
        return declared.default
    if len(text) > PARAMETER_LENGTH:
        raise ParameterUnfit(f"Parameter {name} is longer than {PARAMETER_LENGTH} characters.")
    if declared.type == "int":
        if not _INTEGER.fullmatch(text):
            raise ParameterUnfit(f"Parameter {name} is no whole number.")
        return int(text)
    if declared.type == "bool":
        if text.lower() not in _BOOLEANS:
            raise ParameterUnfit(f"Parameter {name} is neither true nor false.")
        return _BOOLEANS[text.lower()]
    if declared.pattern is not None and not compile_pattern(declared.pattern)(text):
        raise ParameterUnfit(f"Parameter {name} does not fit its pattern.")
    return text
