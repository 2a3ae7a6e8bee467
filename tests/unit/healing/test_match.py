"""Which rule an alert meets, and what its playbook is given."""

from typing import Any

import pytest

from ims.healing.match import PARAMETER_LENGTH, ParameterUnfit, parameters_of, rule_for
from ims.policy.schema import HealingRule, Policy


def rule(name: str, match: dict[str, Any], **more: Any) -> HealingRule:
    return HealingRule.model_validate({"name": name, "match": match, "playbook": "playbooks/heal/x.yml", **more})


POLICY = Policy(
    inventory="inventory/test",
    healing_rules=(
        rule("full", {"alertname": "DiskFull", "device": {"regex": "sd[a-z]"}}),
        rule("down", {"alertname": "ServiceDown"}),
        rule("anything", {"alertname": {"regex": ".+"}}),
    ),
)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"alertname": "ServiceDown"}, "down"),
        ({"alertname": "DiskFull", "device": "sda"}, "full"),
        ({"alertname": "DiskFull", "device": "sda1"}, "anything"),
        ({"alertname": "DiskFull"}, "anything"),
        ({}, None),
    ],
)
def test_the_first_rule_whose_conditions_all_hold_is_the_one(labels: dict[str, str], expected: str | None) -> None:
    found = rule_for(POLICY, labels)
    assert (found.name if found else None) == expected


def values(declared: dict[str, Any], labels: dict[str, str], annotations: dict[str, str] | None = None) -> Any:
    return parameters_of(rule("r", {"a": "b"}, parameters={"p": declared}), labels, annotations or {})["p"]


def test_parameters_get_their_declared_type() -> None:
    assert values({"type": "int", "from": "labels.size"}, {"size": "12"}) == 12
    assert values({"type": "bool", "from": "labels.force"}, {"force": "True"}) is True
    assert values({"from": "annotations.path", "pattern": "/[a-z/]+"}, {}, {"path": "/var/log"}) == "/var/log"
    assert values({"type": "int", "default": 3}, {}) == 3
    assert values({"type": "int", "from": "labels.size", "default": 3}, {}) == 3


@pytest.mark.parametrize(
    ("declared", "labels"),
    [
        ({"type": "int", "from": "labels.size"}, {"size": "12; rm -rf /"}),
        ({"type": "int", "from": "labels.size"}, {"size": "٣"}),
        ({"type": "int", "from": "labels.size"}, {}),
        ({"type": "bool", "from": "labels.size"}, {"size": "perhaps"}),
        ({"from": "labels.path", "pattern": "[a-z]+"}, {"path": "abc\n"}),
        ({"from": "labels.path", "pattern": "[a-z]+"}, {"path": "{{ lookup('pipe', 'id') }}"}),
        ({"from": "labels.path", "pattern": "[a-z]+"}, {"path": "a" * (PARAMETER_LENGTH + 1)}),
    ],
)
def test_a_value_that_does_not_fit_refuses_the_run_and_is_not_repeated_in_the_reason(
    declared: dict[str, Any], labels: dict[str, str]
) -> None:
    with pytest.raises(ParameterUnfit) as refused:
        values(declared, labels)
    assert all(value not in str(refused.value) for value in labels.values() if value)
