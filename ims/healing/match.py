"""Match alerts with healing rules, and read the parameters of their playbooks."""

import re
from collections.abc import Mapping
from typing import Any

from ims.policy.patterns import compile_pattern
from ims.policy.schema import HealingRule, Parameter, Policy

PARAMETER_LENGTH = 1024
"""Most characters of a parameter's text; a longer one is invalid."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class ParameterUnfit(ValueError):
    """A declared parameter is missing or invalid. The message names it and contains no text of the alert."""


def rule_for(policy: Policy, labels: Mapping[str, str]) -> HealingRule | None:
    """The first rule whose conditions all match an alert's labels; None if there is none."""
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
            raise ParameterUnfit(f"Parameter {name} is not a whole number.")
        return int(text)
    if declared.type == "bool":
        if text.lower() not in _BOOLEANS:
            raise ParameterUnfit(f"Parameter {name} is not a boolean: use true or false.")
        return _BOOLEANS[text.lower()]
    if declared.pattern is not None and not compile_pattern(declared.pattern)(text):
        raise ParameterUnfit(f"Parameter {name} does not match its pattern.")
    return text
