"""Validate a reading into a policy: report every fault at once, each with its position and remedy."""

import difflib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ims.core.errors import FieldError
from ims.policy.alert_formats import AlertFormat
from ims.policy.directory import Directory
from ims.policy.faults import Fault
from ims.policy.heartbeats import Heartbeat
from ims.policy.parts import LabelPattern, PolicyPart
from ims.policy.platforms import platforms_of, unknown_platform
from ims.policy.reader import Reading
from ims.policy.ready_formats import READY_FORMATS
from ims.policy.schedule_gaps import describe_gaps
from ims.policy.schedules import DaysInTurn, EveryHours, Layer, Restriction, Schedule
from ims.policy.schema import (
    Correlation,
    Flapping,
    HealingRule,
    Parameter,
    Policy,
    QuietTime,
    Retention,
    Service,
    VerifyWindow,
)
from ims.policy.windows import MaintenanceWindow

SERVICE_VARIABLES = tuple(name for name in Service.model_fields if name != "name")
"""Host variables of a service that IMS reads."""
CORRELATION_SETTINGS = tuple(Correlation.model_fields)
RETENTION_SETTINGS = tuple(Retention.model_fields)
SETTINGS = (
    "healing_mode",
    "healing_rules",
    "maintenance_windows",
    "heartbeats",
    "alert_formats",
    "oncall_schedules",
    *CORRELATION_SETTINGS,
    *RETENTION_SETTINGS,
)
"""Variables of the policy as a whole."""

ALIKE = 0.85
"""Similarity (difflib's ratio) from which an undeclared variable is reported as a misspelling of a declared one."""

Part = TypeVar("Part", bound=BaseModel)

_INNER_MODELS: Mapping[str, type[PolicyPart]] = {
    "verify": VerifyWindow,
    "flapping": Flapping,
    "<pattern>": LabelPattern,
    "<quiet>": QuietTime,
    "layers": Layer,
    "restrictions": Restriction,
    "<hours>": EveryHours,
    "<days>": DaysInTurn,
}

_MESSAGES: Mapping[str, str] = {
    "missing": "is missing: add it.",
    "literal_error": "must be one of {expected}.",
    "string_type": "must be text: put it in quotes.",
    "int_type": "must be a whole number, without quotes.",
    "int_from_float": "must be a whole number.",
    "float_type": "must be a number, without quotes.",
    "bool_type": "must be true or false.",
    "dict_type": "must be a mapping.",
    "model_type": "must be a mapping.",
    "model_attributes_type": "must be a mapping.",
    "tuple_type": "must be a list.",
    "finite_number": "must be a finite number.",
    "greater_than": "must be greater than {gt}.",
    "greater_than_equal": "must be at least {ge}.",
    "less_than_equal": "must be at most {le}.",
    "too_short": "must not be empty.",
    "string_too_short": "must not be empty.",
    "string_too_long": "must have at most {max_length} characters.",
}


class _Validation:
    """The validation of one reading; collects the faults."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.faults: list[Fault] = []

    def fault(self, path: str, message: str) -> None:
        self.faults.append(self.reading.fault(path, message))

    def part(self, model: type[Part], given: Any, path: str) -> Part | None:
        """`given` as a `model`; None if it is invalid, and then its faults are added under `path`."""
        try:
            # By way of JSON, which allows a list for a tuple but still no text for a number.
            return model.model_validate_json(json.dumps(given))
        except ValidationError as error:
            for field in wrong_fields(model, error, path):
                self.fault(field.field, field.message)
            return None

    def rendered(self, path: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The given values that are not null and could be rendered; the reading already has the other ones' faults."""
        unrendered = {
            broken.removeprefix(path).split(".")[0] for broken in self.reading.unrendered if broken.startswith(path)
        }
        return {name: value for name, value in given.items() if value is not None and name not in unrendered}


def validate(
    reading: Reading, files: Collection[str], directory: Directory | None = None
) -> tuple[Policy | None, list[Fault]]:
    """The policy of a reading, or None and every fault.

    `files` are the paths of the tree's files, relative to its root. People and teams are checked if `directory` says
    which there are.
    """
    if reading.faults and not reading.hosts:
        return None, list(reading.faults)
    work = _Validation(reading)
    work.faults.extend(reading.faults)
    rules = _rules(work, files)
    correlation = work.part(Correlation, _named(work, CORRELATION_SETTINGS), "")
    retention = work.part(Retention, _named(work, RETENTION_SETTINGS), "")
    windows = _windows(work)
    heartbeats = _heartbeats(work)
    formats = _formats(work)
    schedules = _schedules(work, directory)
    mode = _mode(work)
    services = _services(work, platforms_of(files))
    _check_names(work)
    for path in reading.overridden:
        name = path.rpartition(".")[2]
        work.fault(path, f"{name} applies to the whole policy: set it in group_vars/all only.")
    if work.faults or correlation is None or retention is None:
        return None, work.faults
    return (
        Policy(
            inventory=reading.inventory,
            healing_mode=mode,
            healing_rules=tuple(rules),
            correlation=correlation,
            maintenance_windows=tuple(windows),
            heartbeats=tuple(heartbeats),
            alert_formats=tuple(formats),
            oncall_schedules=tuple(schedules),
            retention=retention,
            services=services,
            hosts=reading.hosts,
            groups={name: tuple(hosts) for name, hosts in reading.groups.items()},
        ),
        [],
    )


def wrong_fields(model: type[BaseModel], error: ValidationError, path: str = "") -> list[FieldError]:
    """Pydantic's errors about a `model` at a dotted path, with IMS's messages."""
    return [
        FieldError(_path(path, detail["loc"]), _message(model, detail))
        for detail in error.errors(include_url=False, include_input=False)
        if detail["type"] != "default_factory_not_called"
    ]


def _mode(work: _Validation) -> Any:
    mode = work.rendered("", work.reading.settings).get("healing_mode", "auto")
    # YAML 1.1 reads a bare `off` as false.
    mode = "off" if mode is False else mode
    if mode not in ("auto", "observe", "off"):
        work.fault("healing_mode", "must be one of auto, observe, off.")
    return mode


def _named(work: _Validation, names: Sequence[str]) -> dict[str, Any]:
    given = work.rendered("", work.reading.settings)
    return {name: given[name] for name in names if name in given}


def _rules(work: _Validation, files: Collection[str]) -> list[HealingRule]:
    rules: list[HealingRule] = []
    for path, rule in _named_parts(work, HealingRule, "healing_rules", "rule"):
        _check_playbook(work, rule, f"{path}.playbook", files)
        rules.append(rule)
    return rules


def _heartbeats(work: _Validation) -> list[Heartbeat]:
    hosts = set(work.reading.services)
    known = hosts | {name for given in work.reading.services.values() if isinstance(name := given.get("service"), str)}
    heartbeats: list[Heartbeat] = []
    for path, heartbeat in _named_parts(work, Heartbeat, "heartbeats", "heartbeat"):
        if heartbeat.service is not None and heartbeat.service not in known:
            near = difflib.get_close_matches(heartbeat.service, known, 1)
            work.fault(f"{path}.service", f"{heartbeat.service!r} is not a service of the policy{_did_you_mean(near)}.")
        heartbeats.append(heartbeat)
    return heartbeats


def _formats(work: _Validation) -> list[AlertFormat]:
    formats: list[AlertFormat] = []
    for path, one in _named_parts(work, AlertFormat, "alert_formats", "format"):
        if one.name in READY_FORMATS:
            work.fault(f"{path}.name", f"{one.name!r} is the name of a ready format: choose another one.")
        formats.append(one)
    return formats


def _schedules(work: _Validation, directory: Directory | None) -> list[Schedule]:
    schedules: list[Schedule] = []
    for path, schedule in _named_parts(work, Schedule, "oncall_schedules", "schedule"):
        if directory is not None:
            _check_people(work, schedule, path, directory)
        schedules.append(schedule)
    return schedules


def _check_people(work: _Validation, schedule: Schedule, path: str, directory: Directory) -> None:
    if schedule.team is not None and schedule.team not in directory.teams:
        near = difflib.get_close_matches(schedule.team, directory.teams, 1)
        work.fault(f"{path}.team", f"{schedule.team!r} is not a team{_did_you_mean(near)}. Teams: `ims team list`.")
    for number, layer in enumerate(schedule.layers):
        for index, person in enumerate(layer.people):
            if person not in directory.people:
                near = difflib.get_close_matches(person, directory.people, 1)
                work.fault(
                    f"{path}.layers.{number}.people.{index}",
                    f"{person!r} is not an account that may sign in{_did_you_mean(near)}. Accounts: `ims user list`.",
                )


def gap_warnings(reading: Reading, policy: Policy) -> list[Fault]:
    """A warning for each schedule with gaps in its first weeks."""
    return [
        reading.fault(f"oncall_schedules.{index}", sentence)
        for index, schedule in enumerate(policy.oncall_schedules)
        if (sentence := describe_gaps(schedule)) is not None
    ]


def _windows(work: _Validation) -> list[MaintenanceWindow]:
    hosts, groups = set(work.reading.services), set(work.reading.groups)
    logical = {name for given in work.reading.services.values() if isinstance(name := given.get("service"), str)}
    windows: list[MaintenanceWindow] = []
    for path, window in _named_parts(work, MaintenanceWindow, "maintenance_windows", "window"):
        for key, names, known in (
            ("services", window.services, hosts | logical),
            ("groups", window.groups, groups),
        ):
            for index, name in enumerate(names):
                if name not in known:
                    near = difflib.get_close_matches(name, known, 1)
                    work.fault(
                        f"{path}.{key}.{index}", f"{name!r} is not one of the {key} of the policy{_did_you_mean(near)}."
                    )
        windows.append(window)
    return windows


def _named_parts(work: _Validation, model: type[Part], key: str, noun: str) -> Iterator[tuple[str, Part]]:
    """The sound ones of a list of parts with unique names, each with its path."""
    given = work.reading.settings.get(key) or []
    if key in work.reading.unrendered:
        return
    if not isinstance(given, list):
        work.fault(key, f"must be a list of {noun}s.")
        return
    names: dict[str, int] = {}
    for index, item in enumerate(given):
        path = f"{key}.{index}"
        if path in work.reading.unrendered:
            continue
        if isinstance(name := _get(item, "name"), str):
            if name in names:
                work.fault(
                    f"{path}.name", f"{name!r} is also the name of {noun} {names[name] + 1}: rename one of them."
                )
            names.setdefault(name, index)
        if (part := work.part(model, item, path)) is not None:
            yield path, part


def _check_playbook(work: _Validation, rule: HealingRule, path: str, files: Collection[str]) -> None:
    if rule.playbook not in files:
        near = difflib.get_close_matches(rule.playbook, [f for f in files if f.startswith("playbooks/")], 1)
        work.fault(path, f"{rule.playbook} is not in the policy tree{_did_you_mean(near)}.")
        return
    seen = work.reading.playbooks.get(rule.playbook, {})
    if seen.get("readable") and work.reading.services and not seen.get("touches_services"):
        work.fault(
            path,
            f"no play of {rule.playbook} targets a service; a run is limited to one service, so it would do nothing. "
            "Write `hosts: services`.",
        )


def _services(work: _Validation, platforms: Sequence[str]) -> dict[str, Service]:
    services = {}
    for name, given in sorted(work.reading.services.items()):
        path = f"services.{name}"
        service = work.part(Service, {"name": name, **work.rendered(f"{path}.", given)}, path)
        if service is not None:
            services[name] = service
            if service.platform is not None and service.platform not in platforms:
                work.fault(f"{path}.platform", unknown_platform(service.platform, platforms))
    _check_services(work, services)
    return services


def _check_services(work: _Validation, services: Mapping[str, Service]) -> None:
    """Check services against each other: ambiguous names, and instances that belong to two services."""
    holders: dict[str, str] = {}
    for name, service in services.items():
        if name in work.reading.groups:
            work.fault(f"services.{name}", f"{name!r} is also the name of a group: rename the host or the group.")
        if (
            service.service != name
            and service.service in services
            and services[service.service].service != service.service
        ):
            work.fault(
                f"services.{name}.service",
                f"{service.service!r} is also the host of another logical service: rename one of them.",
            )
        if service.machine is not None and service.machine not in work.reading.hosts:
            work.fault(f"services.{name}.machine", f"{service.machine!r} is not a host of the inventory.")
        for index, instance in enumerate(service.instances):
            holder = holders.setdefault(instance, name)
            if holder != name:
                work.fault(
                    f"services.{name}.instances.{index}",
                    f"{instance!r} is also an instance of {holder}, so an alert with it is ambiguous: remove one.",
                )


def _check_names(work: _Validation) -> None:
    """Report unknown variables that resemble known ones."""
    reading = work.reading
    for host, names in reading.names.items():
        declared, given = (SERVICE_VARIABLES, reading.services.get(host, {})) if host else (SETTINGS, reading.settings)
        prefix = f"services.{host}." if host else ""
        for name, message in _strange_names(names, declared, given):
            work.fault(prefix + name, message)


def _strange_names(names: Iterable[str], declared: Sequence[str], given: Collection[str]) -> Iterator[tuple[str, str]]:
    absent = [name for name in declared if name not in given]
    for name in names:
        if name in declared or name in SETTINGS:
            continue
        if name == "environment" and "service_environment" in declared:
            yield name, "is a keyword of Ansible: name the variable service_environment."
        elif name.startswith("healing_"):
            yield name, _unknown(name, SETTINGS)
        elif near := difflib.get_close_matches(name, absent, 1, ALIKE):
            yield name, f"is unknown to IMS{_did_you_mean(near)}? Rename it, or set {near[0]} as well."


def _get(item: object, key: str) -> object:
    return item.get(key) if isinstance(item, dict) else None


def _path(prefix: str, location: Sequence[int | str]) -> str:
    parts = [str(part) for part in location if not str(part).startswith("<")]
    return ".".join([prefix, *parts] if prefix else parts)


def _message(model: type[BaseModel], detail: ErrorDetails) -> str:
    location, context = detail["loc"], detail.get("ctx", {})
    if detail["type"] == "policy":
        return str(context["message"])
    if detail["type"] == "extra_forbidden":
        return _unknown(str(location[-1]), _known_keys(model, location))
    message = _MESSAGES.get(detail["type"])
    return message.format(**context) if message else f"{detail['msg']}."


def _known_keys(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    inner: type[BaseModel] = model
    # The items of a list have the list's model.
    if around := [part for part in location[:-1] if isinstance(part, str)]:
        inner = _INNER_MODELS.get(around[-1], model)
    if len(location) > 2 and location[-3] == "parameters":
        inner = Parameter
    return [field.alias or name for name, field in inner.model_fields.items()]


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"is unknown{_did_you_mean(near)}. Known here: {', '.join(known)}."


def _did_you_mean(near: Sequence[str]) -> str:
    return f"; did you mean {near[0]}" if near else ""
