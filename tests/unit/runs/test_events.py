"""Events are made small, and keep what people and the recap need."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ims.runs.events import MAX_MESSAGE, MAX_STDOUT, RunEvent, condense, failure_message, how_cut_short

CREATED = "2026-03-01T12:00:00.250000+00:00"


def condensed(event: dict[str, Any]) -> RunEvent:
    return RunEvent.from_wire(7, condense({"created": CREATED} | event))


def test_an_event_keeps_its_time_place_and_output() -> None:
    event = condensed(
        {
            "event": "runner_on_ok",
            "stdout": "\x1b[0;33mchanged: [checkout]\x1b[0m",
            "event_data": {
                "play": "Heal",
                "task": "Restart",
                "host": "checkout",
                "task_action": "command",
                "task_args": "secret=hunter2",
                "duration": 0.5,
                "res": {"changed": True, "stdout": "hunter2"},
            },
        }
    )
    assert event == RunEvent(
        counter=7,
        at=datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC),
        kind="runner_on_ok",
        play="Heal",
        task="Restart",
        host="checkout",
        stdout="\x1b[0;33mchanged: [checkout]\x1b[0m",
        data={"action": "command", "seconds": 0.5, "changed": True},
    )


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        ({"_ansible_delegated_vars": {"ansible_host": "billing"}}, {"delegated": True}),
        # The event that closes a loop has no such mark; the number of items shows that it is one.
        ({"results": [{}, {}]}, {"items": 2}),
        ({}, {}),
    ],
    ids=["delegated", "loop", "plain"],
)
def test_an_event_tells_whether_its_target_took_part(result: dict[str, Any], kept: dict[str, Any]) -> None:
    event = condensed({"event": "runner_on_ok", "event_data": {"host": "checkout", "res": {"changed": False} | result}})
    assert event.data == {"changed": False} | kept


def test_statistics_become_a_recap_of_every_host() -> None:
    details = {"processed": {"a": 1, "b": 1}, "ok": {"a": 3}, "dark": {"b": 1}, "rescued": {"a": 1}}
    event = condensed({"event": "playbook_on_stats", "event_data": details})
    assert event.data == {"recap": {"a": {"ok": 3, "rescued": 1}, "b": {"unreachable": 1}}}


def test_long_output_is_cut_with_a_note() -> None:
    event = condensed({"event": "verbose", "stdout": "x" * (MAX_STDOUT + 5)})
    assert event.stdout == "x" * MAX_STDOUT + "\n[cut: 5 more characters]"


def test_terminal_line_ends_and_nul_do_not_reach_the_database() -> None:
    assert condensed({"event": "verbose", "stdout": "a\r\nb\0"}).stdout == "a\nb\ufffd"


def test_an_event_without_a_time_happened_now() -> None:
    event = RunEvent.from_wire(1, {"kind": "ims_note"})
    assert event.at.tzinfo is UTC


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"msg": "no such unit"}, "no such unit"),
        ({"msg": "non-zero return code", "rc": 3, "stderr": "disk full\n"}, "non-zero return code: disk full"),
        ({"msg": "non-zero return code", "rc": 3, "stdout": "disk full"}, "non-zero return code: disk full"),
        ({"reason": "included file not found"}, "included file not found"),
        ({"censored": "hidden", "msg": "hunter2"}, "hidden"),
        (
            {"msg": "One or more items failed", "results": [{"failed": False}, {"failed": True, "msg": "this one"}]},
            "One or more items failed: this one",
        ),
        ({}, ""),
    ],
)
def test_the_message_of_a_failed_task_says_why(result: dict[str, Any], message: str) -> None:
    assert failure_message(result) == message


def test_the_message_of_a_failed_task_is_cut() -> None:
    event = condensed(
        {"event": "runner_on_failed", "event_data": {"res": {"msg": "x" * 10_000}, "ignore_errors": True}}
    )
    assert len(event.data["message"]) < MAX_MESSAGE + 50
    assert event.data["ignored"] is True


@pytest.mark.parametrize(
    ("result", "how"),
    [
        ({"rc": 1, "msg": "non-zero return code"}, None),
        ({"rc": 255}, None),
        ({"rc": 127}, None),
        ({"rc": 128}, None),
        ({"rc": -9}, "was killed by signal 9"),
        ({"rc": 137, "module_stdout": ""}, "was killed by signal 9"),
        ({"rc": 143}, "was killed by signal 15"),
        ({"timedout": {"period": 1}, "msg": "Task failed: Timed out after 1 second(s)."}, "was stopped at its timeout"),
        ({"ansible_job_id": "j1.2", "msg": "Timeout exceeded"}, "did not end within its time for async"),
        (
            {"async_result": {"ansible_job_id": "j1.2"}, "msg": "async task produced unparsable results"},
            "did not end within its time for async",
        ),
        ({"ansible_job_id": "j1.2", "msg": "could not find job"}, "did not end within its time for async"),
        ({"ansible_job_id": "j1.2", "rc": 1, "msg": "non-zero return code"}, None),
        ({"censored": "the output has been hidden"}, None),
    ],
)
def test_a_result_proves_whether_the_task_was_ended_in_the_middle(result: dict[str, Any], how: str | None) -> None:
    assert how_cut_short(result, "command") == how


@pytest.mark.parametrize(
    ("method", "msg", "is_lost"),
    [
        ("POST", "Status code was -1 and not [200]: Connection failure: timed out", True),
        (
            "POST",
            "Status code was -1 and not [200]: Request failed: <urlopen error [Errno 111] Connection refused>",
            False,
        ),
        ("POST", "Status code was 500 and not [200]: HTTP Error 500", False),
        ("GET", "Status code was -1 and not [200]: Connection failure: timed out", False),
    ],
)
def test_a_request_that_may_have_been_carried_out_is_no_known_failure(method: str, msg: str, is_lost: bool) -> None:
    result = {"status": -1, "msg": msg, "invocation": {"module_args": {"method": method}}}
    assert (how_cut_short(result, "ansible.builtin.uri") is not None) == is_lost
