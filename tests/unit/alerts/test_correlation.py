"""Where an alert belongs."""

import pytest

from ims.alerts.correlation import is_worse, place
from ims.core.severity import Severity
from ims.policy.queries import NO_POLICY
from tests.support.notifications import notification, policy


def test_a_known_service_is_found_by_its_label_or_its_instance() -> None:
    assert place(notification(service="search"), policy()).service_name == "search"
    assert place(notification(service="", instance="checkout.example:80"), policy()).service_name == "checkout"
    assert place(notification(service="unknown", instance="nowhere:1"), policy()).service_name is None


def test_the_environment_is_the_label_s_then_the_service_s_then_the_default() -> None:
    assert place(notification(environment="staging"), policy()).environment == "staging"
    assert place(notification(), policy()).environment == "production"
    assert place(notification(service="unknown"), policy()).environment == "default"


@pytest.mark.parametrize(
    ("label", "severity"),
    [("page", "critical"), ("CRITICAL", "critical"), ("major", "high"), ("warning", "medium"), ("none", "low"),
     ("info", "low"), ("banana", "medium"), ("", "medium"), ("p1", "critical")],
)  # fmt: skip
def test_severities_are_mapped(label: str, severity: str) -> None:
    placed = place(notification(severity=label), policy(severity_map={"p1": "critical"}))
    assert placed.severity is Severity(severity)


def test_the_key_is_service_environment_and_severity() -> None:
    one = place(notification(), policy())
    assert one.key == place(notification("Another"), policy()).key
    assert one.key != place(notification(severity="low"), policy()).key
    assert one.key != place(notification(environment="staging"), policy()).key
    assert one.lock == place(notification(severity="low"), policy()).lock


def test_without_a_service_the_key_is_source_and_name() -> None:
    one = place(notification(service="", severity="low"), policy())
    assert one.key == one.lock == place(notification(service="x", environment="y"), policy()).key
    assert one.key != place(notification("Another", service=""), policy()).key
    assert one.key != place(notification(service="", source="other"), policy()).key


def test_no_two_lists_of_words_make_one_key() -> None:
    one = place(notification('a","b', service="", source="s"), policy()).key
    assert one != place(notification("b", service="", source='s","a'), policy()).key


def test_before_a_policy_is_loaded_the_defaults_hold() -> None:
    placed = place(notification(), NO_POLICY)
    assert (placed.service, placed.environment, placed.severity) == (None, "default", Severity.CRITICAL)


def test_worse_is_strict() -> None:
    assert is_worse("critical", "high")
    assert not is_worse("high", "high")
    assert not is_worse("low", "medium")
