"""Where an alert belongs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ims.alerts.correlation import is_worse, place
from ims.alerts.notifications import UNNAMED, AlertNotification
from ims.core.severity import Severity
from ims.policy.queries import NO_POLICY
from ims.policy.schema import Correlation, Service
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


def labelled(labels: Mapping[str, str]) -> AlertNotification:
    """One of service checkout with these labels, too."""
    one = notification()
    return replace(one, labels={**one.labels, **labels})


def key(name: str = "ServiceDown", *, service: str = "", rules: Any = None, **given: Any) -> str:
    """The key of an alert without a known service."""
    replaced = {name: given.pop(name) for name in ("generator_url", "group") if name in given}
    placed = place(replace(notification(name, service=service, **given), **replaced), rules or policy())
    assert placed.service is None
    assert placed.key == placed.lock
    return placed.key


def test_without_a_service_the_key_is_what_tells_problems_apart() -> None:
    one = key(severity="low")
    assert one == key(severity="critical", device="sda")
    others = [
        key("Another"),
        key(source="other"),
        key(environment="staging"),
        key(service="unknown"),
        *(key(**{label: "x"}) for label in ("cluster", "namespace", "job", "instance", "rulename", "service.name")),
        key(group=(("team", "shop"),)),
        key(generator_url="http://grafana.example/alerting/grafana/abc/view?orgId=1"),
        key(generator_url="http://grafana.example/g/alerting/def-1/edit"),
    ]
    assert len({one, *others}) == len(others) + 1


def test_the_policy_says_which_labels_tell_problems_apart() -> None:
    rules = policy(correlation_labels=("disk",))
    assert key(instance="a", rules=rules) == key(instance="b", rules=rules)
    assert key(disk="a", rules=rules) != key(disk="b", rules=rules)


def test_a_prometheus_address_is_no_rule() -> None:
    assert key(generator_url="http://a.example:9090/graph?g0.expr=up") == key(
        generator_url="http://b.example:9090/graph"
    )


def test_alerts_without_a_name_are_told_apart_by_all_labels_but_severity() -> None:
    def unnamed(**labels: str) -> str:
        return place(replace(notification(), name=UNNAMED, labels=labels), policy()).key

    raid = unnamed(check="raid", host="store-1", severity="warning")
    assert raid == unnamed(check="raid", host="store-1", severity="critical")
    assert raid != unnamed(check="certificate", host="store-1", severity="warning")


def test_a_long_key_becomes_a_digest_and_still_tells_apart() -> None:
    long = "x" * 8000
    assert len(key(instance=long)) < 200
    assert key(instance=long) != key(instance=f"{long}y")


KUBE = {"endpoint": "https-main", "job": "kube-state-metrics", "pod": "web-1", "container": "web"}


@pytest.mark.parametrize(
    "exporter", ["kube-state-metrics", "shop-kube-state-metrics", "node-exporter", "kubelet", "otel-collector"]
)
def test_an_exporter_s_label_names_no_service(exporter: str) -> None:
    rules = policy()
    services = {**rules.services, exporter: Service(name=exporter, instances=("10.1.2.3:8443",))}
    rules = rules.model_copy(update={"services": services})
    labels = {**KUBE, "service": exporter, "instance": "10.1.2.3:8443"}
    one = key(rules=rules, namespace="shop", **labels)
    assert one != key(rules=rules, namespace="billing", **labels)
    # What the exporter says of a service that another label names.
    assert place(labelled({**labels, "service.name": "search"}), rules).service_name == "search"
    # A rule's own label, about the exporter itself.
    assert place(notification(service=exporter), rules).service_name == exporter
    # Or the policy knows better.
    own = rules.model_copy(update={"correlation": Correlation(exporter_pattern="")})
    assert place(labelled(labels), own).service_name == exporter


def test_a_scrape_target_s_own_label_names_an_application() -> None:
    assert place(labelled(KUBE | {"job": "checkout"}), policy()).service_name == "checkout"


def test_the_service_is_named_by_the_first_label_that_names_a_known_one() -> None:
    def service(**labels: str) -> str | None:
        return place(labelled({"service": "", **labels}), policy()).service_name

    assert service(**{"service.name": "search"}) == service(service_name="search") == "search"
    assert service(service="unknown", **{"service.name": "search"}) == "search"
    assert service(service="checkout", **{"service.name": "search"}) == "checkout"
    assert service(app="search") is None
    ordered = policy(service_labels=("app", "service"))
    assert place(notification(app="search"), ordered).service_name == "search"


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
