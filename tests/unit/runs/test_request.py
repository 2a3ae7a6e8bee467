"""Valid and invalid requests for a run, checked before anything starts."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ims.core.errors import RunDenied
from ims.runs.request import RunRequest
from ims.runs.unsafe import UNSAFE_KEY


@pytest.fixture
def fields(tmp_path: Path) -> dict[str, Any]:
    root = tmp_path / "policy"
    (root / "inventory").mkdir(parents=True)
    (root / "heal.yml").write_text("[]")
    (tmp_path / "outside.yml").write_text("[]")
    (root / "link.yml").symlink_to(tmp_path / "outside.yml")
    return {
        "run_id": UUID(int=1),
        "policy_root": root,
        "inventory": "inventory",
        "playbook": "heal.yml",
        "hosts": {"checkout", "web-1.example.org", "services", "!z", "all"},
        "groups": {"services"},
        "limit": "checkout",
        "timeout": 60,
    }


def wrong(fields: dict[str, Any], **changes: Any) -> list[str]:
    """Return the names of the invalid fields."""
    with pytest.raises(RunDenied) as refused:
        RunRequest.check(**(fields | changes))
    return [fault.field for fault in refused.value.fields]


def test_a_host_of_the_inventory_is_a_limit(fields: dict[str, Any]) -> None:
    assert RunRequest.check(**fields).limit == "checkout"
    assert RunRequest.check(**(fields | {"limit": "web-1.example.org"})).limit == "web-1.example.org"


NO_LIMITS = (
    "!z all * ~check.* @hosts.txt services ungrouped checkout:services checkout,services check* _checkout "
    "-checkout checkout[0] &services ../checkout"
)


@pytest.mark.parametrize("limit", [*NO_LIMITS.split(), "", "checkout\n", " checkout", "{{ x }}"])
def test_anything_but_an_exact_host_is_refused(fields: dict[str, Any], limit: str) -> None:
    assert wrong(fields, limit=limit) == ["limit"]
    # Not even if a host is really called so.
    assert wrong(fields, limit=limit, hosts=fields["hosts"] | {limit}) == ["limit"]


def test_a_host_that_the_inventory_does_not_have_is_refused(fields: dict[str, Any]) -> None:
    assert wrong(fields, limit="unknown") == ["limit"]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../outside.yml", "link.yml", "missing.yml", "", "inventory", "heal.yml,", "heal.yml\0"]
)
def test_a_playbook_stays_inside_the_policy(fields: dict[str, Any], path: str) -> None:
    assert wrong(fields, playbook=path) == ["playbook"]


@pytest.mark.parametrize("path", ["/etc", "..", "checkout,", "missing"])
def test_an_inventory_stays_inside_the_policy(fields: dict[str, Any], path: str) -> None:
    assert wrong(fields, inventory=path) == ["inventory"]


@pytest.mark.parametrize(
    "name", ["alert", "ansible_connection", "ansible_ssh_common_args", "Upper", "hostvars", "a-b", "_x", "", "x\n"]
)
def test_a_parameter_may_not_have_a_dangerous_name(fields: dict[str, Any], name: str) -> None:
    assert wrong(fields, parameters={name: "x"}) == ["parameters"]


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "PYTHONPATH", "ANSIBLE_CONFIG", "IMS_RUN_ID", "IMS_RUN_OWNER", "lower", "A B", ""]
)
def test_the_environment_takes_no_dangerous_name(fields: dict[str, Any], name: str) -> None:
    assert wrong(fields, environment={name: "x"}) == ["environment"]


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), 86_401])
def test_a_deadline_is_a_sensible_number_of_seconds(fields: dict[str, Any], timeout: float) -> None:
    assert wrong(fields, timeout=timeout) == ["timeout"]


def test_all_wrong_fields_are_named_at_once_and_no_value_is_repeated(fields: dict[str, Any]) -> None:
    with pytest.raises(RunDenied) as refused:
        RunRequest.check(**(fields | {"limit": "!hunter2", "playbook": "/hunter2", "parameters": {"HUNTER2": 1}}))
    assert {fault.field for fault in refused.value.fields} == {"limit", "playbook", "parameters"}
    assert "hunter2" not in str([*refused.value.fields, refused.value]).lower()


def test_every_string_of_alert_and_parameters_is_marked_unsafe(fields: dict[str, Any]) -> None:
    request = RunRequest.check(**fields, alert={"labels": {"a": "x"}}, parameters={"unit": "y", "number": 3})
    assert request.extra_vars() == {
        "alert": {"labels": {"a": {UNSAFE_KEY: "x"}}},
        "unit": {UNSAFE_KEY: "y"},
        "number": 3,
    }


@pytest.mark.parametrize("key", ["\ud800", "__ansible_unsafe", "{{ x }}"])
def test_a_strange_alert_does_not_stop_a_healing(fields: dict[str, Any], key: str) -> None:
    assert RunRequest.check(**fields, alert={key: float("nan")}).extra_vars()["alert"]


def test_a_request_does_not_show_what_may_be_secret(fields: dict[str, Any]) -> None:
    request = RunRequest.check(
        **fields, alert={"a": "hunter2"}, parameters={"b": "hunter2"}, environment={"C": "hunter2"}
    )
    assert "hunter2" not in repr(request)
