"""The policy's models."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ims.core.errors import PolicyFaulty
from ims.policy.parts import MATCHED_LENGTH
from ims.policy.schema import Correlation, HealingRule, Parameter, Policy, Service, VerifyWindow

RULE = {"name": "restart", "match": {"alertname": "ServiceDown"}, "playbook": "playbooks/heal/restart_service.yml"}


def rule(**changes: Any) -> HealingRule:
    return HealingRule.model_validate({**RULE, **changes})


def messages(error: pytest.ExceptionInfo[ValidationError]) -> str:
    return " ".join(detail["msg"] for detail in error.value.errors())


def test_a_rule_matches_when_every_condition_holds() -> None:
    both = rule(match={"alertname": "ServiceDown", "service": {"regex": "web-[0-9]+"}})
    assert both.matches({"alertname": "ServiceDown", "service": "web-1", "more": "x"})
    assert not both.matches({"alertname": "ServiceDown", "service": "db-1"})
    assert not both.matches({"service": "web-1"})


def test_a_pattern_must_match_the_whole_value() -> None:
    anchored = rule(match={"service": {"regex": "web"}})
    assert anchored.matches({"service": "web"})
    assert not anchored.matches({"service": "web-1"})
    assert not anchored.matches({"service": "web\n"})


def test_a_missing_label_counts_as_empty() -> None:
    assert rule(match={"team": ""}).matches({})
    assert not rule(match={"team": "a"}).matches({})


def test_a_very_long_value_matches_no_pattern() -> None:
    assert rule(match={"x": {"regex": ".*"}}).matches({"x": "a" * MATCHED_LENGTH})
    assert not rule(match={"x": {"regex": ".*"}}).matches({"x": "a" * (MATCHED_LENGTH + 1)})


def test_a_rule_needs_a_condition() -> None:
    with pytest.raises(ValidationError):
        rule(match={})


@pytest.mark.parametrize(
    "playbook",
    ["restart.yml", "/playbooks/x.yml", "playbooks/../site.yml", "playbooks//x.yml", "playbooks", "playbooks/."],
)
def test_a_playbook_outside_playbooks_is_refused(playbook: str) -> None:
    with pytest.raises(ValidationError) as error:
        rule(playbook=playbook)
    assert "under playbooks/" in messages(error)


@pytest.mark.parametrize(
    "name", ["alert", "ansible_connection", "ims_x", "managed_service_unit", "Upper", "a-b", "hostvars"]
)
def test_a_parameter_may_not_take_a_name_that_means_something(name: str) -> None:
    with pytest.raises(ValidationError):
        rule(parameters={name: {"default": "x"}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no value"),
        ({"from": "labels.disk"}, "pattern"),
        ({"from": "status", "type": "int"}, "labels.<name>"),
        ({"type": "int", "default": "3"}, "type int"),
        ({"type": "int", "default": True}, "type int"),
        ({"pattern": "a+", "default": "b"}, "does not match"),
        ({"type": "int", "pattern": "a", "default": 1}, "for type str"),
    ],
)
def test_an_incomplete_parameter_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        Parameter.model_validate(given)
    assert message in messages(error)


def test_a_complete_parameter_is_accepted() -> None:
    assert Parameter.model_validate({"from": "labels.disk", "pattern": "[a-z]+"}).source == "labels.disk"


def test_a_verification_that_can_never_succeed_is_refused() -> None:
    with pytest.raises(ValidationError):
        VerifyWindow(green_for=61, within=60)


@pytest.mark.parametrize("name", ["all", "a", "web-1.example", "0"])
def test_a_plain_name_is_a_service_name(name: str) -> None:
    assert Service(name=name).service == name


@pytest.mark.parametrize(
    "name", ["", "!z", "~web", "@file", "_web", "wéb", "web:1", "web*", "-web", "w b", "a" * 129, "web\n"]
)
def test_a_name_that_ansible_could_take_for_a_pattern_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Service(name=name)


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "localhost:80", "http://", "http://a:b@x/", "http://x:99999/", "http://x /", "javascript:alert(1)", ""],
)
def test_a_url_that_is_not_plain_http_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Service(name="web", url=url)


@pytest.mark.parametrize("runbook", ["javascript:alert(1)", "/etc/passwd", "../x", "data:text/html,x"])
def test_a_runbook_cannot_be_a_script(runbook: str) -> None:
    with pytest.raises(ValidationError):
        Service(name="web", runbook=runbook)


@pytest.mark.parametrize("runbook", ["https://wiki.example/x", "docs/runbooks/service_down.md"])
def test_a_runbook_is_a_url_or_a_page_of_the_repository(runbook: str) -> None:
    assert Service(name="web", runbook=runbook).runbook == runbook


def test_nobody_but_people_restarts_a_service_unless_it_says_so() -> None:
    assert Service(name="web").service_recovery == "manual"


@pytest.mark.parametrize(
    ("label", "severity"),
    [
        ("page", "critical"),
        ("CRITICAL", "critical"),
        ("major", "high"),
        ("warning", "medium"),
        ("none", "low"),
        ("p1", "critical"),
        ("strange", "medium"),
        ("", "medium"),
        (None, "medium"),
    ],
)
def test_a_severity_label_is_mapped(label: str | None, severity: str) -> None:
    assert Correlation.model_validate({"severity_map": {"P1": "critical"}}).severity_of(label) == severity


SHOP = Policy(
    inventory="inventory/local",
    services={
        "shop-1": Service(name="shop-1", service="shop", instances=("h:1",)),
        "shop-2": Service(name="shop-2", service="shop", instances=("h:2",)),
        "mail-1": Service(name="mail-1", service="mail", instances=("h:3",)),
    },
)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"service": "shop-2", "instance": "h:1"}, "shop-2"),
        ({"service": "shop", "instance": "h:2"}, "shop-2"),
        ({"service": "shop", "instance": "h:3"}, None),
        ({"service": "shop"}, None),
        ({"service": "mail"}, "mail-1"),
        ({"service": "unknown", "instance": "h:3"}, "mail-1"),
        ({"instance": "h:1"}, "shop-1"),
        ({"instance": "h:9"}, None),
        ({}, None),
    ],
)
def test_labels_mean_a_service(labels: dict[str, str], found: str | None) -> None:
    service = SHOP.service_for(labels)
    assert (service.name if service else None) == found


names = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}", fullmatch=True)
rules = st.builds(
    HealingRule,
    name=names,
    match=st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=8), min_size=1, max_size=3),
    playbook=st.just("playbooks/heal/x.yml"),
    attempts=st.integers(1, 20),
    cooldown=st.floats(0, 86400),
)
services = st.builds(Service, name=names, service=names, url=st.just("http://h:1/"), instances=st.just(("h:1", "h:2")))


@given(
    healing_rules=st.lists(rules, max_size=3),
    found=st.lists(services, max_size=3),
    mode=st.sampled_from(["auto", "observe", "off"]),
    quiet=st.sampled_from(["immediately", "never", {"quiet": 30.5}]),
)
def test_a_policy_survives_being_stored(
    healing_rules: list[HealingRule], found: list[Service], mode: Any, quiet: Any
) -> None:
    policy = Policy(
        inventory="inventory/local",
        healing_mode=mode,
        healing_rules=tuple(healing_rules),
        correlation=Correlation.model_validate({"auto_resolve": quiet}),
        services={service.name: service for service in found},
    )
    assert Policy.from_stored(policy.model_dump(mode="json")) == policy


def test_a_policy_that_another_version_stored_asks_to_be_loaded_again() -> None:
    with pytest.raises(PolicyFaulty, match="load it again"):
        Policy.from_stored({"inventory": "x", "from_the_future": 1})
