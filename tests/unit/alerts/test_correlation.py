"""Where an alert belongs."""

import pytest

from ims.alerts.correlation import is_worse, place
from ims.core.severity import Severity
from ims.policy.queries import NO_POLICY
from tests.support.notices import notice, policy


def test_a_known_service_is_found_by_its_label_or_its_instance() -> None:
    assert place(notice(service="search"), policy()).service_name == "search"
    assert place(notice(service="", instance="checkout.example:80"), policy()).service_name == "checkout"
    assert place(notice(service="unknown", instance="nowhere:1"), policy()).service_name is None


def test_the_environment_is_the_label_s_then_the_service_s_then_the_default() -> None:
    assert place(notice(environment="staging"), policy()).environment == "staging"
    assert place(notice(), policy()).environment == "production"
    assert place(notice(service="unknown"), policy()).environment == "default"


@pytest.mark.parametrize(
    ("label", "severity"),
    [("page", "critical"), ("CRITICAL", "critical"), ("major", "high"), ("warning", "medium"), ("none", "low"),
     ("info", "low"), ("banana", "medium"), ("", "medium"), ("p1", "critical")],
)  # fmt: skip
def test_severities_are_mapped(label: str, severity: str) -> None:
    placed = place(notice(severity=label), policy(severity_map={"p1": "critical"}))
    assert placed.severity is Severity(severity)


def test_the_key_is_service_environment_and_severity() -> None:
    one = place(notice(), policy())
    assert one.key == place(notice("Another"), policy()).key
    assert one.key != place(notice(severity="low"), policy()).key
    assert one.key != place(notice(environment="staging"), policy()).key
    assert one.lock == place(notice(severity="low"), policy()).lock


def test_without_a_service_the_key_is_source_and_name() -> None:
    one = place(notice(service="", severity="low"), policy())
    assert one.key == one.lock == place(notice(service="x", environment="y"), policy()).key
    assert one.key != place(notice("Another", service=""), policy()).key
    assert one.key != place(notice(service="", source="other"), policy()).key


def test_no_two_lists_of_words_make_one_key() -> None:
    one = place(notice('a","b', service="", source="s"), policy()).key
    assert one != place(notice("b", service="", source='s","a'), policy()).key


def test_before_a_policy_is_loaded_the_defaults_hold() -> None:
    placed = place(notice(), NO_POLICY)
    assert (placed.service, placed.environment, placed.severity) == (None, "default", Severity.CRITICAL)


def test_worse_is_strict() -> None:
    assert is_worse("critical", "high")
    assert not is_worse("high", "high")
    assert not is_worse("low", "medium")
