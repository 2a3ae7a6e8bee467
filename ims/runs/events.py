"""Events of a run: ansible-runner's events, condensed.

The run's child condenses an event, and the worker turns it into a ``RunEvent``. Only what people and the recap need is
kept: never the arguments of a task, never its whole result. Ansible has already replaced what a task hides with
``no_log``, both in the output and in the result.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MAX_STDOUT: Final = 16_384
CLOCKS_AGREE: Final = timedelta(seconds=1)
"""Characters of one event's output."""
MAX_MESSAGE: Final = 2_000
"""Characters of the message of a failed task."""
MAX_NAME: Final = 500
"""Characters of the name of a play, task, host."""

STATS: Final = "playbook_on_stats"
STARTED: Final = "runner_on_start"
"""Ansible is about to have a worker process of its own execute a task for a host."""
OK: Final = "runner_on_ok"
ITEM_OK: Final = "runner_item_on_ok"
FAILED: Final = "runner_on_failed"
UNREACHABLE: Final = "runner_on_unreachable"
SKIPPED: Final = "runner_on_skipped"
ITEM_FAILED: Final = "runner_item_on_failed"
VERBOSE: Final = "verbose"
NOTE: Final = "ims_note"
"""Kind of an event that IMS itself adds to the log of a run."""

_FAILURES: Final = frozenset({FAILED, UNREACHABLE, ITEM_FAILED, "runner_retry"})
_SIGNALS: Final = range(1, 65)
# The third is what ansible-core 2.21 calls a job that did not end in time.
_JOB_LOST = re.compile(
    r"Timeout exceeded|did not complete within the requested time|produced unparsable results|could not find job"
)
_READING_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_COUNTS: Final = {
    "ok": "ok",
    "changed": "changed",
    "failures": "failures",
    "dark": "unreachable",
    "skipped": "skipped",
    "rescued": "rescued",
    "ignored": "ignored",
}


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One event of a run's log. ``counter`` counts from 1 without gaps; ``at`` is in UTC."""

    counter: int
    at: datetime
    kind: str
    """ansible-runner's name of the event, or ``ims_note``."""
    play: str | None = None
    task: str | None = None
    host: str | None = None
    stdout: str = ""
    """As the playbook printed it, with ANSI colours; cut after ``MAX_STDOUT`` characters with a note."""
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, counter: int, wire: Mapping[str, Any]) -> "RunEvent":
        """Build an event from the result of ``condense`` in the child."""
        return cls(
            counter=counter,
            at=_time(wire.get("at")),
            kind=wire["kind"],
            play=wire.get("play"),
            task=wire.get("task"),
            host=wire.get("host"),
            stdout=wire.get("stdout", ""),
            data=wire.get("data", {}),
        )


def condense(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of an ansible-runner event that are kept, ready for JSON."""
    kind = str(event.get("event", VERBOSE))
    details = event.get("event_data") or {}
    wire = {
        "at": event.get("created"),
        "kind": kind,
        "stdout": cut(str(event.get("stdout", "")).replace("\r\n", "\n"), MAX_STDOUT),
        "data": _data(kind, details),
    }
    for name in ("play", "task", "host"):
        if details.get(name):
            wire[name] = cut(str(details[name]), MAX_NAME)
    return wire


def shifted(events: Sequence[RunEvent], by: timedelta) -> Sequence[RunEvent]:
    """Return the events with their times moved from this machine's clock to the database's.

    A difference below ``CLOCKS_AGREE`` is left as it is: it is smaller than what asking for the time takes.
    """
    return events if abs(by) < CLOCKS_AGREE else [replace(event, at=event.at + by) for event in events]


def cut(text: str, limit: int) -> str:
    """Return ``text`` without NUL, which PostgreSQL does not accept, cut after ``limit`` characters with a note."""
    text = text.replace("\0", "\ufffd")
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[cut: {len(text) - limit} more characters]"


def _time(text: object) -> datetime:
    moment = datetime.fromisoformat(str(text)) if text else datetime.now(UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _data(kind: str, details: Mapping[str, Any]) -> dict[str, Any]:
    if kind == STATS:
        return {"recap": _recap(details)}
    data = {
        "action": details.get("task_action"),
        "role": details.get("role"),
        "path": details.get("task_path"),
        "seconds": details.get("duration"),
    }
    result = details.get("res")
    if isinstance(result, Mapping):
        # A result under no_log is censored, so whether the task changed anything is unknown.
        data["changed"] = None if "censored" in result else bool(result.get("changed"))
        # In a loop Ansible marks only the events of the items, not the event that closes the loop.
        data["delegated"] = "_ansible_delegated_vars" in result or None
        data["items"] = len(result["results"]) if isinstance(result.get("results"), list) else None
        if kind in _FAILURES:
            data["message"] = cut(failure_message(result), MAX_MESSAGE)
            data["ignored"] = bool(details.get("ignore_errors"))
            data["cut_short"] = how_cut_short(result, str(data["action"]))
    return {name: value for name, value in data.items() if value not in (None, "")}


def _recap(details: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    recap: dict[str, dict[str, int]] = {str(host): {} for host in details.get("processed") or {}}
    for theirs, ours in _COUNTS.items():
        for host, count in (details.get(theirs) or {}).items():
            recap.setdefault(str(host), {})[ours] = int(count)
    return recap


def failure_message(result: Mapping[str, Any]) -> str:
    """Return the most informative message of a failed task's result."""
    if "censored" in result:
        return str(result["censored"])
    parts = [str(result[name]).strip() for name in ("msg", "reason") if result.get(name)][:1]
    # include_vars puts its reason only here.
    if (message := str(result.get("message") or "").strip()) and message not in parts:
        parts.append(message)
    items = result.get("results")
    for item in items if isinstance(items, list) else []:
        if isinstance(item, Mapping) and item.get("failed"):
            parts.append(failure_message(item))
            break
    # A module that ran a command says only "non-zero return code"; the end of the command's output has the reason.
    output = result.get("stderr") or result.get("module_stderr") or (result.get("rc") and result.get("stdout"))
    if end := str(output or "").strip():
        parts.append(end[-MAX_MESSAGE // 2 :])
    return ": ".join(parts)


def how_cut_short(result: Mapping[str, Any], action: str) -> str | None:
    """Return how a task was ended in the middle if its result proves that, as the end of a sentence; else None.

    What it had done by then nobody knows: a failure that a module reports itself is something else.
    """
    rc = result.get("rc")
    if isinstance(rc, int) and (-rc in _SIGNALS or rc - 128 in _SIGNALS):
        # -9 is a module's way to say it, 137 a shell's, also when it is the module itself that was killed.
        return f"was killed by signal {-rc if rc < 0 else rc - 128}"
    if "timedout" in result:
        return "was stopped at its timeout"
    if ("ansible_job_id" in result or "async_result" in result) and _JOB_LOST.search(str(result.get("msg"))):
        return "did not end within its time for async"
    if action.rpartition(".")[2] == "uri" and _lost_answer(result):
        return "sent its request and got no answer"
    return None


def _lost_answer(result: Mapping[str, Any]) -> bool:
    """Whether a request that may change something was sent: a refused connection is worded otherwise."""
    arguments = (result.get("invocation") or {}).get("module_args") or {}
    method = str(arguments.get("method") or "GET").upper()
    return method not in _READING_METHODS and "Connection failure" in str(result.get("msg"))
