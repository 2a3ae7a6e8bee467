"""On-call schedules of a policy: faults with their places, and gaps as warnings."""

from typing import Any

from ims.policy.directory import Directory
from ims.policy.schema import Policy
from ims.policy.validation import gap_warnings, validate
from tests.unit.policy.test_validation import FILES, faults_of, reading

LAYER = {"name": "weeks", "people": ["alice", "bob"], "starts": "2026-01-05", "handoff": "09:00"}
SCHEDULE = {"name": "payments", "team": "payments", "timezone": "Europe/Berlin", "layers": [LAYER]}
DIRECTORY = Directory(["alice", "bob"], ["payments"])


def schedules(*given: Any) -> Any:
    return reading(settings={"oncall_schedules": list(given)})


def policy_of(*given: Any) -> Policy:
    policy, faults = validate(schedules(*given), FILES, DIRECTORY)
    assert faults == []
    assert policy is not None
    return policy


def test_a_sound_schedule_is_part_of_the_policy_and_survives_its_storage() -> None:
    policy = policy_of(
        {**SCHEDULE, "layers": [{**LAYER, "rotation": {"days": [5, 2]}, "restrictions": [{"to": "08:00"}]}]}
    )
    assert Policy.from_stored(policy.model_dump(mode="json")) == policy
    assert policy.oncall_schedules[0].layers[0].lengths == (120, 48)
    assert policy.oncall_schedules[0].people == ("alice", "bob")


def test_people_and_teams_that_do_not_exist_are_faults_where_they_are_known() -> None:
    wrong = {**SCHEDULE, "team": "paiments", "layers": [{**LAYER, "people": ["alice", "bobb"]}]}
    _, faults = validate(schedules(wrong), FILES, DIRECTORY)
    assert {fault.field: fault.message for fault in faults} == {
        "oncall_schedules.0.team": "'paiments' is not a team; did you mean payments. Teams: `ims team list`.",
        "oncall_schedules.0.layers.0.people.1": (
            "'bobb' is not an account that may sign in; did you mean bob. Accounts: `ims user list`."
        ),
    }
    assert validate(schedules(wrong), FILES)[1] == []


def test_every_fault_has_its_place() -> None:
    found = faults_of(
        schedules(
            {**SCHEDULE, "timezone": "Europe/Berln", "layers": [{**LAYER, "handoff": 600, "rotaton": "daily"}]},
            {**SCHEDULE, "layers": [{**LAYER, "rotation": {"hours": 0}, "restrictions": [{"days": ["monday"]}]}]},
            {**SCHEDULE, "layers": []},
            {**SCHEDULE, "layers": [{**LAYER, "rotation": "monthly", "restrictions": [{"form": "09:00"}]}]},
        )
    )
    assert found["oncall_schedules.0.timezone"] == (
        "'Europe/Berln' is not a time zone: write one such as Europe/Berlin."
    )
    assert found["oncall_schedules.0.layers.0.handoff"] == 'must be a local time in quotes, such as "09:00".'
    assert "did you mean rotation" in found["oncall_schedules.0.layers.0.rotaton"]
    assert found["oncall_schedules.1.name"] == "'payments' is also the name of schedule 1: rename one of them."
    assert found["oncall_schedules.1.layers.0.rotation.hours"] == "must be at least 1."
    assert "must be one of 'mon'" in found["oncall_schedules.1.layers.0.restrictions.0.days.0"]
    assert found["oncall_schedules.2.layers"] == "must not be empty."
    assert "must be one of 'daily'" in found["oncall_schedules.3.layers.0.rotation"]
    assert "did you mean from" in found["oncall_schedules.3.layers.0.restrictions.0.form"]


def test_gaps_are_a_warning_that_names_the_first() -> None:
    office = {**LAYER, "restrictions": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}]}
    given = schedules({**SCHEDULE, "layers": [office]}, {**SCHEDULE, "name": "full"})
    policy, _ = validate(given, FILES)
    assert policy is not None
    (warning,) = gap_warnings(given, policy)
    assert (warning.field, warning.message) == (
        "oncall_schedules.0",
        "nobody is on call in 128.0 hours of a week; the first gap is from Mon 2026-01-05 17:00 to Tue 2026-01-06 09:00"
        " (Europe/Berlin). Add a layer without restrictions.",
    )
