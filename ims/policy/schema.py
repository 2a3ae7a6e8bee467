"""The policy as the programs use it: services, healing rules, correlation.

All models are frozen and reject unknown keys. Field names equal the names in the inventory, so that a fault names the
key that people wrote. Durations are seconds. `validation.py` makes a `Policy` of a tree.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictStr,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from ims.core.errors import PolicyFaulty
from ims.core.settings import DEFAULT_POOL
from ims.policy.alert_formats import AlertFormat
from ims.policy.heartbeats import Heartbeat
from ims.policy.parts import (
    MATCHED_LENGTH,
    LabelName,
    Matcher,
    MatchValue,
    Name,
    Pattern,
    PolicyPart,
    Text,
    check_label,
    check_match,
    fault,
    matchers_of,
)
from ims.policy.patterns import PATTERN_LENGTH, check_pattern, compile_pattern
from ims.policy.schedules import Schedule
from ims.policy.windows import MaintenanceWindow

PARAMETER_PATTERN = re.compile(r"[a-z][a-z0-9_]*")
RESERVED_PARAMETERS = ("alert", "vars", "groups", "hostvars", "inventory_hostname", "environment")
SOURCE_KINDS = ("labels", "annotations")
"""Of an alert, what a parameter may come from."""

Severity = Literal["critical", "high", "medium", "low"]
HealingMode = Literal["auto", "observe", "off"]
Recovery = Literal["ims", "platform", "manual"]

SCRAPED = frozenset(("endpoint", "pod", "container", "namespace", "node"))
"""Labels that a scrape target in Kubernetes has beside `service`."""

DEFAULT_ENVIRONMENT = "default"
"""Environment of an alert that has no label `environment` and belongs to no service."""

SEVERITY_MAP: Mapping[str, Severity] = {
    "critical": "critical",
    "crit": "critical",
    "page": "critical",
    "emergency": "critical",
    "disaster": "critical",
    "fatal": "critical",
    "p1": "critical",
    "high": "high",
    "error": "high",
    "err": "high",
    "major": "high",
    "p2": "high",
    "warning": "medium",
    "warn": "medium",
    "medium": "medium",
    "moderate": "medium",
    "average": "medium",
    "minor": "medium",
    "p3": "medium",
    "info": "low",
    "information": "low",
    "informational": "low",
    "debug": "low",
    "low": "low",
    "p4": "low",
    "p5": "low",
    "none": "low",
}
"""Severity labels of senders, mapped to the severities of IMS. A policy's `severity_map` overrides entries."""


def check_url(value: str) -> str:
    """Return an http(s) URL with a host and without credentials. Raises the fault otherwise."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise fault("is not a valid URL: write http://host:port/path.") from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f]", value):
        raise fault("must be a URL that begins with http:// or https:// and has a host.")
    if parts.username is not None or parts.password is not None:
        raise fault("must not contain a user name or password: it is shown on pages and written for Prometheus.")
    return value


def check_runbook(value: str) -> str:
    """Return a valid URL, or the path of a page in the repository. Raises the fault otherwise."""
    if ":" in value.split("/")[0]:
        return check_url(value)
    if not value or value.startswith("/") or ".." in value.split("/"):
        raise fault("must be a URL, or a path inside the repository such as docs/runbooks/service_down.md.")
    return value


def _check_instance(value: str) -> str:
    if not value or re.search(r"\s", value) or "://" in value:
        raise fault("must be host:port as in the label `instance`, without a scheme and without spaces.")
    return value


Url = Annotated[StrictStr, AfterValidator(check_url)]
Instance = Annotated[StrictStr, AfterValidator(_check_instance)]


class Service(PolicyPart):
    """A service: one inventory host of group `services`. The fields are its host variables."""

    name: Name
    """The inventory host: the target of runs."""
    service: Name = Field(
        default_factory=lambda given: given["name"],
        description="Logical service, if several hosts are instances of one service. Default: the host's name.",
    )
    url: Url | None = Field(
        default=None, description="URL to probe. The service is healthy if the status is below 400."
    )
    owner: Text | None = Field(default=None, description="Account that is responsible for the service.")
    team: Text | None = Field(default=None, description="Team that is notified.")
    service_environment: Name = Field(
        default=DEFAULT_ENVIRONMENT,
        description="Environment of alerts without a label `environment`, such as `production`.",
    )
    runbook: Annotated[Text, AfterValidator(check_runbook)] | None = Field(
        default=None, description="Runbook: a URL, to which incidents link, or a path in the repository."
    )
    description: Text | None = Field(default=None, description="The service in one sentence.")
    instances: tuple[Instance, ...] = Field(
        default=(), description="host:port strings. Alerts with such a label `instance` belong to this service."
    )
    platform: Text | None = Field(
        default=None, description="Platform that runs the service: a platform of the role managed_service."
    )
    unit: Text = Field(
        default_factory=lambda given: given["name"],
        min_length=1,
        description="Name of the service on the platform. Default: the host's name.",
    )
    machine: Name | None = Field(default=None, description="Inventory host of the machine that the service runs on.")
    service_recovery: Recovery = Field(
        default="manual",
        description="Who restarts the service: `ims` heals it, `platform` restarts it by itself, `manual`: people do.",
    )
    worker_pool: Name = Field(default=DEFAULT_POOL, description="Pool of the workers that execute the service's runs.")


class VerifyWindow(PolicyPart):
    """When the verification of a run passes.

    The probes must be green for `green_for` seconds without a break, beginning at most `within` seconds after the end
    of the run.
    """

    green_for: float = Field(default=3, ge=0, le=3600)
    """Seconds that the probes must be green without a break."""
    within: float = Field(default=60, gt=0, le=3600)
    """Seconds after the end of the run within which the green time must begin."""
    interval: float = Field(default=0.5, ge=0.05, le=60)
    """Seconds between two probes."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.green_for > self.within:
            raise fault("green_for is longer than within, so no verification could pass. Make within longer.")
        if self.interval > self.within:
            raise fault("interval is longer than within, so no probe would be made. Make interval shorter.")
        return self


class Parameter(PolicyPart):
    """A declared extra variable of a rule's playbook, with a value from the alert or a fixed value."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    type: Literal["str", "int", "bool"] = "str"
    pattern: Pattern | None = None
    """Regular expression (RE2) that the whole text must match."""
    source: StrictStr | None = Field(default=None, alias="from")
    """`labels.x` or `annotations.x`. If the alert does not have it, the default is used; without a default the run is
    denied."""
    default: str | int | bool | None = None

    @field_validator("source")
    @classmethod
    def _names_a_label(cls, source: str | None) -> str | None:
        if source is None:
            return None
        kind, _, name = source.partition(".")
        if kind not in SOURCE_KINDS or not name:
            raise fault("`from` must be labels.<name> or annotations.<name>.")
        return f"{kind}.{check_label(name)}"

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.source is None and self.default is None:
            raise fault("has no value: set `from: labels.<name>`, a `default`, or both.")
        if self.source is not None and self.type == "str" and self.pattern is None:
            raise fault("takes text from an alert: add a `pattern` that the whole text must match.")
        if self.pattern is not None and self.type != "str":
            raise fault("`pattern` is allowed for type str only: remove it.")
        if self.default is not None and type(self.default).__name__ != self.type:
            raise fault(f"`default` must be of type {self.type}.")
        if self.pattern is not None and isinstance(self.default, str):
            fits = compile_pattern(self.pattern)
            if not fits(self.default):
                raise fault("`default` does not match `pattern`.")
        return self


class HealingRule(PolicyPart):
    """Which alerts may start which playbook, and how often."""

    name: Name
    description: Text | None = None
    match: Annotated[dict[str, MatchValue], Field(min_length=1), AfterValidator(check_match)]
    """Label name to exact value or to `{regex: …}`; all must match."""
    playbook: StrictStr
    """Path in the policy tree, under playbooks/."""
    attempts: int = Field(default=3, ge=1, le=20)
    """Maximum number of runs per episode."""
    cooldown: float = Field(default=30, ge=0, le=86400)
    """Seconds between two runs on one target."""
    timeout: float = Field(default=120, gt=0, le=86400)
    """Seconds after which a run is stopped."""
    parameters: dict[str, Parameter] = Field(default={})
    safe_to_repeat: bool = False
    """Whether another run may follow a run whose outcome is unknown."""
    verify: VerifyWindow = VerifyWindow()

    @field_validator("playbook")
    @classmethod
    def _inside_playbooks(cls, path: str) -> str:
        parts = path.split("/")
        if parts[0] != "playbooks" or len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
            raise fault("must be a path under playbooks/, such as playbooks/heal/restart_service.yml.")
        return path

    @field_validator("parameters")
    @classmethod
    def _parameter_names(cls, parameters: dict[str, Parameter]) -> dict[str, Parameter]:
        for name in parameters:
            if not PARAMETER_PATTERN.fullmatch(name):
                raise fault(f"{name!r} is not a parameter name: use a-z, 0-9 and underscores.")
            # An extra variable of such a name would change how Ansible connects, or override a role's own variable.
            if name in RESERVED_PARAMETERS or name.startswith(("ansible_", "ims_", "managed_service_")):
                raise fault(f"{name!r} is reserved: choose another name.")
        return parameters

    @cached_property
    def matchers(self) -> tuple[Matcher, ...]:
        """The compiled conditions of `match`."""
        return matchers_of(self.match)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert's labels (after mapping) fulfil all conditions."""
        return all(matcher.matches(labels) for matcher in self.matchers)


class QuietTime(PolicyPart):
    """An incident resolves itself when none of its alerts has fired for `quiet` seconds."""

    quiet: float = Field(gt=0, le=30 * 86400)


AutoResolve = Annotated[
    Annotated[Literal["immediately", "never"], Tag("<word>")] | Annotated[QuietTime, Tag("<quiet>")],
    Discriminator(lambda given: "<quiet>" if isinstance(given, dict | QuietTime) else "<word>"),
]


class Flapping(PolicyPart):
    """An alert is flapping if it has more than `episodes` episodes within `within` seconds.

    Episodes are counted per alert, not per correlation key: many alerts of a service that fire once each are one
    outage, not a problem that recurs after each repair attempt.
    """

    episodes: int = Field(default=10, ge=1, le=1000)
    within: float = Field(default=600, gt=0, le=7 * 86400)
    heal: bool = False
    """Whether IMS heals flapping incidents."""


class Correlation(PolicyPart):
    """How alerts become incidents. The fields are variables of group_vars/all."""

    severity_map: dict[StrictStr, Severity] = Field(default={})
    """Entries that the policy adds to or changes in `SEVERITY_MAP`; keys are not case-sensitive."""
    recurrence_window: float = Field(default=300, ge=0, le=30 * 86400)
    """Seconds after a resolve in which a new incident with the same correlation key is linked as a recurrence."""
    severity_joins: bool = True
    """Whether a more severe alert raises the service's open incident instead of opening a second one."""
    auto_resolve: AutoResolve = "immediately"
    """When an incident resolves itself after its last episode closed."""
    flapping: Flapping = Flapping()
    service_labels: Annotated[tuple[LabelName, ...], Field(min_length=1, max_length=16)] = (
        "service",
        "service.name",
        "service_name",
    )
    """Labels that may name the service, in order: the first one that names a known service counts."""
    exporter_pattern: Annotated[StrictStr, Field(max_length=PATTERN_LENGTH)] = (
        ".*exporter.*|.*kube-state-metrics.*|kubelet|.*cadvisor.*|.*push-?gateway.*|.*(otel|opentelemetry)-collector.*"
    )
    """Whole names, by RE2, of programs that report about others: a scrape target's label with such a name is no service
    of the alert's. Empty: none."""
    correlation_labels: Annotated[tuple[LabelName, ...], Field(max_length=32)] = (
        "cluster",
        "namespace",
        "job",
        "instance",
    )
    """Of alerts without a known service: labels that tell one problem from another, where present."""

    @field_validator("exporter_pattern")
    @classmethod
    def _is_a_pattern(cls, given: str) -> str:
        if given and (problem := check_pattern(given)):
            raise fault(problem)
        return given

    @cached_property
    def _severities(self) -> Mapping[str, Severity]:
        return {**SEVERITY_MAP, **{name.lower(): severity for name, severity in self.severity_map.items()}}

    def severity_of(self, label: str | None) -> Severity:
        """The severity for a sender's label; an unknown or missing label is medium."""
        return self._severities.get((label or "").strip().lower(), "medium")

    @cached_property
    def _names_exporter(self) -> Callable[[str], bool]:
        return compile_pattern(self.exporter_pattern) if self.exporter_pattern else lambda _: False

    def names_exporter(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether this name, from a label for the service, is that of the exporter which an alert's series came from.

        A scrape target's own label says where a series was read, which for an exporter is not what it is about. What
        marks it as the target's own are the labels that come with it. A rule may name an exporter by its own label.
        """
        if SCRAPED.isdisjoint(labels) and labels.get("job") != name:
            return False
        return len(name) <= MATCHED_LENGTH and self._names_exporter(name)


class Retention(PolicyPart):
    """How long resolved incidents and the audit log are kept. The fields are variables of group_vars/all."""

    # The database does not allow the deletion of incidents that are younger than a week.
    retention_days: int = Field(default=90, ge=7, le=3650)
    """Days after which a resolved incident is deleted, with everything that belongs to it."""
    # The database does not allow the deletion of younger entries.
    audit_days: int = Field(default=365, ge=90, le=3650)
    """Days after which an entry of the audit log is deleted."""


class Policy(PolicyPart):
    """A validated policy of one revision and one inventory."""

    inventory: StrictStr
    """Path of the inventory in the tree."""
    healing_mode: HealingMode = "auto"
    healing_rules: tuple[HealingRule, ...] = ()
    """In order: the first rule that matches an alert applies."""
    correlation: Correlation = Correlation()
    maintenance_windows: tuple[MaintenanceWindow, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    alert_formats: tuple[AlertFormat, ...] = ()
    """How alerts are read that are written in their senders' own words; sources name them."""
    oncall_schedules: tuple[Schedule, ...] = ()
    retention: Retention = Retention()
    services: dict[str, Service] = Field(default={})
    """By inventory host."""
    hosts: tuple[str, ...] = ()
    """Every inventory host, including services."""
    groups: dict[str, tuple[str, ...]] = Field(default={})

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Self:
        """The stored policy. Raises `PolicyFaulty` if another version of IMS stored it in another form."""
        try:
            # By way of JSON, which allows a list for a tuple.
            return cls.model_validate_json(json.dumps(stored))
        except ValidationError as error:
            raise PolicyFaulty("Another version of IMS stored the active policy: load it again.") from error

    @cached_property
    def _by_instance(self) -> Mapping[str, Service]:
        return {instance: service for service in self.services.values() for instance in service.instances}

    @cached_property
    def _by_logical_name(self) -> Mapping[str, tuple[Service, ...]]:
        found: dict[str, tuple[Service, ...]] = {}
        for service in self.services.values():
            found[service.service] = (*found.get(service.service, ()), service)
        return found

    @cached_property
    def _groups_of_hosts(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for group, hosts in self.groups.items():
            for host in hosts:
                found.setdefault(host, set()).add(group)
        return {host: frozenset(groups) for host, groups in found.items()}

    def alert_format(self, name: str) -> AlertFormat | None:
        """The format of this name."""
        return next((one for one in self.alert_formats if one.name == name), None)

    def groups_of(self, service: Service) -> frozenset[str]:
        """The inventory groups of a service and of its machine."""
        hosts = (service.name, service.machine or service.name)
        return frozenset().union(*(self._groups_of_hosts.get(host, frozenset()) for host in hosts))

    def service_for(self, labels: Mapping[str, str]) -> Service | None:
        """The service of an alert with these labels.

        The first of `service_labels` that names a known one: the inventory host, or a logical name (of its hosts the
        one that has label `instance`, or the only one). Otherwise the service whose `instances` hold label `instance`.
        Never the exporter that an alert's series came from.
        """
        by_instance = self._by_instance.get(labels.get("instance", ""))
        for label in self.correlation.service_labels:
            name = labels.get(label)
            if not name or (name not in self.services and name not in self._by_logical_name):
                continue
            if self.correlation.names_exporter(name, labels):
                if by_instance is not None and name in (by_instance.name, by_instance.service):
                    by_instance = None
                continue
            if name in self.services:
                return self.services[name]
            instances = self._by_logical_name[name]
            if by_instance in instances:
                return by_instance
            return instances[0] if len(instances) == 1 else None
        return by_instance
