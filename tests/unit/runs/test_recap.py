"""The recap decides how a run ended."""

from datetime import UTC, datetime

import pytest

from ims.runs.events import FAILED, ITEM_FAILED, OK, SKIPPED, STARTED, UNREACHABLE, RunEvent
from ims.runs.recap import Ending, FailedTask, HostRecap, Outcome, Stop

GOOD = HostRecap(ok=3, changed=1)
BAD = HostRecap(ok=1, failures=1)


def ending(**known: object) -> Ending:
    return Ending(target="checkout", finished=True, timeout=60, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "outcome"),
    [
        ({"rc": 0, "recap": {"checkout": GOOD}}, Outcome.SUCCEEDED),
        ({"rc": 0, "recap": {"checkout": HostRecap(ok=1, rescued=1, ignored=2)}}, Outcome.SUCCEEDED),
        ({"rc": 0, "recap": {}}, Outcome.FAILED),
        ({"rc": 0, "recap": None}, Outcome.FAILED),
        ({"rc": 0, "recap": {"billing": GOOD}}, Outcome.FAILED),
        ({"rc": 0, "recap": {"checkout": BAD}}, Outcome.FAILED),
        ({"rc": 0, "recap": {"checkout": HostRecap(unreachable=1)}}, Outcome.FAILED),
        ({"rc": 0, "recap": {"checkout": GOOD, "billing": BAD}}, Outcome.FAILED),
        ({"rc": 2, "recap": {"checkout": GOOD}}, Outcome.FAILED),
        ({"rc": 4, "recap": None}, Outcome.FAILED),
        ({"rc": None, "recap": None}, Outcome.DIED),
        ({"rc": None, "recap": {"checkout": GOOD}}, Outcome.DIED),
        ({"rc": None, "stop": Stop.DEADLINE}, Outcome.TIMED_OUT),
        ({"rc": None, "stop": Stop.CANCEL}, Outcome.CANCELLED),
        ({"rc": 2, "recap": {"checkout": BAD}, "stop": Stop.CANCEL}, Outcome.CANCELLED),
        # It was done before the signal came.
        ({"rc": 0, "recap": {"checkout": GOOD}, "stop": Stop.DEADLINE}, Outcome.SUCCEEDED),
    ],
)
def test_the_outcome_follows_the_recap(known: dict[str, object], outcome: Outcome) -> None:
    assert ending(**known).decide()[0] is outcome


def event(kind: str, task: str = "Restart", host: str = "checkout", **data: object) -> RunEvent:
    return RunEvent(1, datetime(2026, 1, 1, tzinfo=UTC), kind, task=task, host=host, data=data)


def ended(*events: RunEvent, **known: object) -> Ending:
    end = ending(**known)
    for one in events:
        end.note_progress(one)
        end.note_contact(one)
    return end


BEGUN = event(STARTED)
REFUSED = "Failed to connect to the host via ssh: ssh: connect to host x port 22: Connection refused"


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        # A worker process of Ansible was killed: the task never reported its end, and Ansible ended without statistics.
        (ended(BEGUN, rc=1), Outcome.UNKNOWN),
        (ended(BEGUN, event(FAILED), rc=1), Outcome.FAILED),
        (ended(BEGUN, event(FAILED), rc=2, recap={"checkout": BAD}), Outcome.FAILED),
        (
            ended(BEGUN, event(FAILED, cut_short="was killed by signal 9"), rc=2, recap={"checkout": BAD}),
            Outcome.UNKNOWN,
        ),
        # The rescue failed, too; what it was to rescue was ended in the middle.
        (
            ended(event(FAILED, cut_short="was stopped at its timeout"), event(FAILED), rc=2, recap={"checkout": BAD}),
            Outcome.UNKNOWN,
        ),
        (ended(event(ITEM_FAILED, cut_short="was killed by signal 15"), event(FAILED), rc=2), Outcome.UNKNOWN),
        (ended(BEGUN, event(UNREACHABLE, message=REFUSED), rc=4), Outcome.FAILED),
        (ended(BEGUN, event(UNREACHABLE, message="Shared connection to x closed."), rc=4), Outcome.UNKNOWN),
        (ended(event(OK, action="command"), event(UNREACHABLE, message=REFUSED), rc=4), Outcome.UNKNOWN),
        (ended(event(OK, action="debug"), event(UNREACHABLE, message=REFUSED), rc=4), Outcome.FAILED),
        (ended(event(UNREACHABLE, message="Failed to create temporary directory. In some"), rc=4), Outcome.FAILED),
        # It ended well all the same.
        (ended(event(FAILED, cut_short="was killed by signal 9"), rc=0, recap={"checkout": GOOD}), Outcome.SUCCEEDED),
    ],
)
def test_a_task_that_reported_no_end_or_was_ended_in_the_middle_is_no_known_failure(
    end: Ending, outcome: Outcome
) -> None:
    assert end.decide()[0] is outcome
    assert (end.cut_short is not None) == (outcome is Outcome.UNKNOWN) or outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("stop", Stop)
def test_a_stop_is_in_the_middle_only_if_a_task_was_under_way(stop: Stop) -> None:
    assert ended(stop=stop).cut_short is None
    assert ended(BEGUN, event(OK), stop=stop).cut_short is None
    assert ended(BEGUN, event(SKIPPED), stop=stop).cut_short is None
    assert "'Restart' on checkout was started" in str(ended(BEGUN, stop=stop).cut_short)
    # Its last events are lost.
    assert ended(stop=stop, is_silent=True).cut_short is not None


def test_a_handler_that_does_not_exist_ends_the_playbook_and_its_task_had_ended() -> None:
    # ansible-core 2.21 reports no end of the task that notified it.
    end = ended(BEGUN, rc=1)
    end.note_output("[ERROR]: The requested handler 'Restart nothing' was not found in either the main handlers list")
    assert end.decide()[0] is Outcome.FAILED
    assert "Restart nothing" in end.decide()[1]


def test_a_run_whose_child_reported_no_end_has_died() -> None:
    assert Ending(target="checkout").decide()[0] is Outcome.DIED


def test_the_failed_task_is_that_of_a_host_which_the_recap_calls_failed() -> None:
    failures = {host: FailedTask("Restart", host, "no") for host in ("billing", "checkout", "rescued")}
    recap = {"billing": BAD, "checkout": BAD, "rescued": GOOD}
    assert ending(rc=2, recap=recap, failures=failures).failed_task() == failures["checkout"]
    assert ending(rc=2, recap={"rescued": GOOD}, failures=failures).failed_task() is None


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"rc": 0, "recap": {}}, "matched no host"),
        ({"rc": 0, "recap": {"billing": GOOD}}, "did nothing on checkout"),
        ({"rc": 2, "recap": {"checkout": BAD}}, "Tasks failed on checkout"),
        ({"rc": 4}, "exit code 4"),
        ({"stop": Stop.DEADLINE}, "deadline of 60 s"),
    ],
)
def test_the_reason_is_a_sentence_for_people(known: dict[str, object], words: str) -> None:
    assert words in ending(**known).decide()[1]


def test_the_first_error_is_remembered_without_its_colours() -> None:
    ending = Ending(target="checkout")
    ending.note_output("using a config file\n")
    ending.note_output("\x1b[0;31m[ERROR]: no such module\x1b[0m")
    ending.note_output("\x1b[0;31mOrigin: playbook.yml\x1b[0m\n\x1b[0;31m\x1b[0m")
    assert ending.last_line == "[ERROR]: no such module"
