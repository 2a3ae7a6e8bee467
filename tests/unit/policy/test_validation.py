"""From a reading to a policy: every fault at once, with field, place and remedy."""

from dataclasses import replace
from typing import Any

import pytest

from ims.policy.faults import Fault, FaultsFound
from ims.policy.reader import Reading
from ims.policy.schema import Policy
from ims.policy.validation import SERVICE_VARIABLES, SETTINGS, validate

PLAYBOOK = "playbooks/heal/restart_service.yml"
FILES = {PLAYBOOK, "inventory/local/hosts.yml"}
RULE = {"name": "restart", "match": {"alertname": "ServiceDown"}, "playbook": PLAYBOOK}


def reading(
    services: dict[str, dict[str, Any]] | None = None, settings: dict[str, Any] | None = None, **more: Any
) -> Reading:
    services = {"web": {"url": "http://h:1/"}} if services is None else services
    settings = {"healing_rules": [RULE]} if settings is None else settings
    return replace(
        Reading(
            hosts=(*services, "local"),
            groups={"all": [*services, "local"], "services": list(services), "machines": ["local"]},
            settings=settings,
            services=services,
            names={"": list(settings), **{name: list(given) for name, given in services.items()}},
            playbooks={PLAYBOOK: {"readable": True, "touches_services": True}},
            inventory="inventory/local",
        ),
        **more,
    )


def faults_of(read: Reading) -> dict[str, str]:
    policy, faults = validate(read, FILES)
    assert policy is None
    return {fault.field: fault.message for fault in faults}


def test_a_sound_reading_becomes_a_policy() -> None:
    policy, faults = validate(reading(), FILES)
    assert faults == []
    assert policy is not None
    assert policy.services["web"].url == "http://h:1/"
    assert policy.healing_rules[0].attempts == 3
    assert policy.groups["services"] == ("web",)
    assert policy.healing_mode == "auto"


def test_an_empty_inventory_is_a_policy_without_services() -> None:
    policy, _ = validate(Reading(inventory="inventory/local"), FILES)
    assert policy is not None
    assert policy.services == {}


def test_off_that_yaml_read_as_false_is_off() -> None:
    policy, _ = validate(reading(settings={"healing_mode": False}), FILES)
    assert policy is not None
    assert policy.healing_mode == "off"


def test_all_faults_are_reported_at_once() -> None:
    found = faults_of(
        reading(
            services={"web": {"url": "ftp://x"}, "db": {"service_recovery": "nobody"}},
            settings={
                "healing_mode": "on",
                "healing_rules": [{**RULE, "attempts": "3", "cooldwn": 1, "verify": {"green": 2}}, {"name": "b"}],
                "recurrence_window": -1,
                "auto_resolve": {"quit": 3},
            },
        )
    )
    assert set(found) == {
        "services.web.url",
        "services.db.service_recovery",
        "healing_mode",
        "healing_rules.0.attempts",
        "healing_rules.0.cooldwn",
        "healing_rules.0.verify.green",
        "healing_rules.1.match",
        "healing_rules.1.playbook",
        "recurrence_window",
        "auto_resolve.quiet",
        "auto_resolve.quit",
    }


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"cooldwn": 1}, "cooldwn", "did you mean cooldown"),
        ({"verify": {"gren_for": 1}}, "verify.gren_for", "did you mean green_for"),
        ({"match": {"a": {"regex": "x", "regexp": "y"}}}, "match.a.regexp", "did you mean regex"),
        ({"parameters": {"p": {"form": "labels.x", "default": "x"}}}, "parameters.p.form", "did you mean from"),
        ({"attempts": "3"}, "attempts", "without quotes"),
        ({"attempts": 0}, "attempts", "at least 1"),
        ({"attempts": 99}, "attempts", "at most 20"),
        ({"cooldown": "30s"}, "cooldown", "must be a number"),
        ({"safe_to_repeat": "yes"}, "safe_to_repeat", "true or false"),
        ({"match": {}}, "match", "must not be empty"),
        ({"match": {"severity": 1}}, "match.severity", "put it in quotes"),
        ({"match": "ServiceDown"}, "match", "must be a mapping"),
        ({"match": {"a": {"regex": "("}}}, "match.a.regex", "not a valid RE2 expression at position 1"),
        ({"match": {"a": {"regex": "a(?=b)"}}}, "match.a.regex", "at position 2: RE2 has no lookahead"),
        ({"match": {"": "x"}}, "match", "label name"),
        ({"match": {"a\x00b": "x"}}, "match", "label name"),
        ({"match": {'"a': "x"}}, "match", "quotes do not end"),
        ({"match": {'"a"': "x", "a": "x"}}, "match", "twice"),
        ({"parameters": {"x": {"from": "labels", "pattern": "a"}}}, "parameters.x.from", "labels.<name>"),
        ({"parameters": {"x": {"from": 'labels."a', "pattern": "a"}}}, "parameters.x.from", "quotes do not end"),
        ({"playbook": "playbooks/heal/restart_servce.yml"}, "playbook", f"did you mean {PLAYBOOK}"),
        ({"playbook": "site.yml"}, "playbook", "under playbooks/"),
        ({"name": "Restart it"}, "name", "a-z, A-Z, 0-9"),
        ({"parameters": {"ansible_connection": {"default": "x"}}}, "parameters", "reserved"),
    ],
)
def test_a_rules_fault_names_its_field_and_the_remedy(change: dict[str, Any], field: str, message: str) -> None:
    found = faults_of(reading(settings={"healing_rules": [{**RULE, **change}]}))
    assert set(found) == {f"healing_rules.0.{field}"}
    assert message in found[f"healing_rules.0.{field}"]


def test_two_rules_of_one_name_are_refused() -> None:
    found = faults_of(reading(settings={"healing_rules": [RULE, RULE]}))
    assert "also the name of rule 1" in found["healing_rules.1.name"]


def test_rules_that_are_no_list_are_refused() -> None:
    assert faults_of(reading(settings={"healing_rules": {"restart": RULE}})) == {
        "healing_rules": "must be a list of rules."
    }


def test_a_rule_that_is_no_mapping_is_refused() -> None:
    assert faults_of(reading(settings={"healing_rules": ["x", None]})) == {
        "healing_rules.0": "must be a mapping.",
        "healing_rules.1": "must be a mapping.",
    }


def test_a_playbook_that_touches_no_service_is_refused() -> None:
    read = reading(playbooks={PLAYBOOK: {"readable": True, "touches_services": False}})
    assert "hosts: services" in faults_of(read)["healing_rules.0.playbook"]


def test_a_misspelt_setting_is_refused_and_others_variables_are_not() -> None:
    names = {"": ["healing_rule", "recurrence_windw", "ims_web_port", "severities"], "web": ["ansible_host", "urls_x"]}
    found = faults_of(reading(names=names))
    assert set(found) == {"healing_rule", "recurrence_windw"}
    assert "did you mean healing_rules" in found["healing_rule"]


def test_a_misspelt_host_variable_is_refused_unless_the_right_one_is_there() -> None:
    assert "did you mean owner" in faults_of(reading(names={"web": ["owners"]}))["services.web.owners"]
    policy, _ = validate(reading(services={"web": {"owner": "alice"}}, names={"web": ["owner", "owners"]}), FILES)
    assert policy is not None


def test_the_keyword_environment_is_refused() -> None:
    found = faults_of(reading(names={"web": ["environment"]}))
    assert "service_environment" in found["services.web.environment"]


def test_null_means_not_given() -> None:
    policy, _ = validate(reading(services={"web": dict.fromkeys(SERVICE_VARIABLES)}), FILES)
    assert policy is not None
    assert policy.services["web"].service == "web"
    policy, _ = validate(reading(settings=dict.fromkeys(SETTINGS)), FILES)
    assert policy is not None


def test_a_service_named_like_a_group_is_refused() -> None:
    found = faults_of(reading(services={"machines": {}}))
    assert "name of a group" in found["services.machines"]


@pytest.mark.parametrize("name", ["!z", "_web", "~x", "web[1]"])
def test_a_service_whose_name_is_no_safe_limit_is_refused(name: str) -> None:
    assert set(faults_of(reading(services={name: {}}))) == {f"services.{name}.name"}


def test_one_instance_of_two_services_is_refused() -> None:
    found = faults_of(reading(services={"a": {"instances": ["h:1"]}, "b": {"instances": ["h:2", "h:1"]}}))
    assert "also an instance of a" in found["services.b.instances.1"]


def test_a_logical_name_that_is_a_host_of_another_service_is_refused() -> None:
    found = faults_of(reading(services={"web": {"service": "shop"}, "web-2": {"service": "web"}}))
    assert set(found) == {"services.web-2.service"}


def test_a_machine_that_the_inventory_does_not_have_is_refused() -> None:
    assert "is not a host" in faults_of(reading(services={"web": {"machine": "nowhere"}}))["services.web.machine"]


def test_what_could_not_be_rendered_is_reported_once() -> None:
    fault = Fault("inventory/local/hosts.yml", 3, 5, "services.web.url", "cannot be rendered: 'x' is undefined")
    read = reading(
        services={"web": {"url": None, "instances": ["h:1", None]}},
        settings={"healing_rules": [None, RULE]},
        faults=(fault,),
        unrendered=frozenset({"services.web.url", "services.web.instances.1", "healing_rules.0"}),
    )
    assert validate(read, FILES) == (None, [fault])


def test_a_setting_that_a_host_overrides_is_refused() -> None:
    found = faults_of(reading(overridden=("services.web.healing_mode",)))
    assert "group_vars/all only" in found["services.web.healing_mode"]


def test_a_fault_is_placed_at_the_nearest_thing_that_has_a_place() -> None:
    read = reading(
        settings={"healing_rules": [{**RULE, "verify": {"within": "x"}}]},
        places={
            "healing_rules.0": ("group_vars/all/healing.yml", 4, 5),
            "healing_rules.0.verify": ("group_vars/all/healing.yml", 9, 7),
        },
    )
    _, faults = validate(read, FILES)
    assert str(faults[0]) == (
        "group_vars/all/healing.yml:9:7: healing_rules.0.verify.within: must be a number, without quotes."
    )


def test_one_wrong_line_for_many_services_is_reported_once() -> None:
    faults = [Fault("group_vars/services.yml", 2, 6, f"services.s{n}.url", "must be a URL") for n in range(1000)]
    assert len(FaultsFound(faults).faults) == 1


def test_faults_come_in_the_order_of_the_files() -> None:
    faults = [
        Fault("b", 2, 1, "x", "m"),
        Fault("a", 10, 1, "x", "m"),
        Fault("a", 9, 1, "x", "m"),
        Fault("a", None, None, "", "m"),
    ]
    assert [fault.place for fault in FaultsFound(faults).faults] == ["a", "a:9:1", "a:10:1", "b:2:1"]


WINDOW = {"name": "patching", "services": ["web"], "from": "2026-03-01 02:00", "to": "2026-03-01 04:00"}


def test_windows_and_flapping_become_part_of_the_policy() -> None:
    settings = {"maintenance_windows": [WINDOW], "flapping": {"episodes": 3, "within": 60}}
    policy, faults = validate(reading(settings=settings), FILES)
    assert faults == []
    assert policy is not None
    assert policy.maintenance_windows[0].name == "patching"
    assert policy.correlation.flapping.episodes == 3
    assert Policy.from_stored(policy.model_dump(mode="json")) == policy


def test_every_fault_of_every_window_is_reported_with_its_field() -> None:
    windows = [
        {**WINDOW, "services": ["wob"], "groups": ["services", "machine"]},
        {**WINDOW, "rrule": "FREQ=MINUTELY", "form": "x"},
        {**WINDOW, "name": "b", "timezone": "Europe/Bonn", "from": "soon"},
        "nonsense",
    ]
    found = faults_of(reading(settings={"maintenance_windows": windows, "flapping": {"episodes": 0, "in": 3}}))
    window = "maintenance_windows.0"
    assert found[f"{window}.services.0"] == "'wob' is not one of the services of the policy; did you mean web."
    assert found[f"{window}.groups.1"] == "'machine' is not one of the groups of the policy; did you mean machines."
    assert "name of window 1" in found["maintenance_windows.1.name"]
    assert "did you mean from" in found["maintenance_windows.1.form"]
    assert "not a time zone" in found["maintenance_windows.2.timezone"]
    assert "must be a time" in found["maintenance_windows.2.from"]
    assert found["maintenance_windows.3"] == "must be a mapping."
    assert found["flapping.episodes"] == "must be at least 1."
    assert "Known here: episodes, within, heal" in found["flapping.in"]


def test_windows_that_are_no_list_are_a_fault() -> None:
    assert faults_of(reading(settings={"maintenance_windows": WINDOW})) == {
        "maintenance_windows": "must be a list of windows."
    }


def test_a_misspelt_list_of_windows_is_reported() -> None:
    found = faults_of(reading(settings={"healing_rules": []}, names={"": ["maintenance_window"], "web": ["url"]}))
    assert "did you mean maintenance_windows" in found["maintenance_window"]


def test_heartbeats_are_read_and_their_faults_are_named() -> None:
    heartbeat = {"name": "backup", "every": 60}
    policy, faults = validate(reading(settings={"heartbeats": [heartbeat]}), FILES)
    assert faults == []
    assert policy is not None
    assert [(one.name, one.every, one.grace, one.severity) for one in policy.heartbeats] == [("backup", 60, 30, "high")]
    wrong = [heartbeat, {**heartbeat, "service": "wob"}, {"name": "A b", "every": 0, "severity": "page"}]
    found = faults_of(reading(settings={"heartbeats": wrong}))
    assert "name of heartbeat 1" in found["heartbeats.1.name"]
    assert found["heartbeats.1.service"] == "'wob' is not a service of the policy; did you mean web."
    assert {"heartbeats.2.name", "heartbeats.2.every", "heartbeats.2.severity"} <= set(found)


def test_a_platform_that_the_role_does_not_have_is_a_fault_that_names_those_it_has() -> None:
    faults = faults_of(reading({"web": {"url": "http://h:1/", "platform": "kubernetes"}}))
    assert faults == {
        "services.web.platform": (
            "'kubernetes' is not a platform of the role managed_service, which has: supervisor. Use one of them, or add"
            " roles/managed_service/tasks/platforms/kubernetes.yml."
        )
    }


@pytest.mark.parametrize("name", ["docker-compose", "Supervisor", "", "../supervisor"])
def test_a_platform_that_could_not_be_added_by_that_name_says_what_names_look_like(name: str) -> None:
    faults = faults_of(reading({"web": {"url": "http://h:1/", "platform": name}}))
    assert faults == {
        "services.web.platform": (
            f"{name!r} is not a platform of the role managed_service, which has: supervisor. Use one of them, or add"
            " one whose name consists of a-z, 0-9 and underscores and begins with a letter."
        )
    }


@pytest.mark.parametrize("other", [
    "roles/managed_service/tasks/kubernetes/ready.yml",
    "roles/managed_service/tasks/platforms/kubernetes.yml.j2",
    "roles/managed_service/tasks/platforms/nested/kubernetes.yml",
    "roles/other/tasks/platforms/kubernetes.yml",
])  # fmt: skip
def test_only_a_file_that_the_role_would_include_makes_a_platform(other: str) -> None:
    policy, faults = validate(reading({"web": {"url": "http://h:1/", "platform": "kubernetes"}}), FILES | {other})
    assert policy is None
    assert "which has: supervisor." in faults[0].message


def test_a_service_without_a_platform_needs_none() -> None:
    policy, faults = validate(reading({"web": {"url": "http://h:1/"}}), FILES)
    assert faults == []
    assert policy is not None
    assert policy.services["web"].platform is None


def test_the_platforms_of_the_policys_own_role_count() -> None:
    role = {f"roles/managed_service/tasks/platforms/{name}.yml" for name in ("systemd", "kubernetes", "docker_compose")}
    given = {name: {"url": f"http://{name}:1/", "platform": name} for name in ("kubernetes", "docker_compose")}
    given = {name.replace("_", "-"): service for name, service in given.items()}
    policy, faults = validate(reading(given), FILES | role)
    assert faults == []
    assert policy is not None
    assert {name: service.platform for name, service in policy.services.items()} == {
        "kubernetes": "kubernetes", "docker-compose": "docker_compose",
    }  # fmt: skip
    policy, faults = validate(reading({"web": {"url": "http://h:1/", "platform": "supervisor"}}), FILES | role)
    assert policy is None
    assert "has: docker_compose, kubernetes, systemd." in faults[0].message
