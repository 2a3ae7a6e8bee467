"""What a run tells while it goes on: ansible-runner's events, made small.

The run's child condenses an event, the caller's side turns it into a ``RunEvent``. Only what people and the recap need
is kept: never the arguments of a task, never its whole result. What a task hides with ``no_log`` Ansible has already
replaced in both the output and the result.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

MAX_STDOUT: Final = 16_384
"""Characters of one event's output."""
MAX_MESSAGE: Final = 2_000
"""Characters of the message of a failed task."""
MAX_NAME: Final = 500
"""Characters of the name of a play, task, host."""

STATS: Final = "playbook_on_stats"
OK: Final = "runner_on_ok"
ITEM_OK: Final = "runner_item_on_ok"
FAILED: Final = "runner_on_failed"
UNREACHABLE: Final = "runner_on_unreachable"
VERBOSE: Final = "verbose"
NOTE: Final = "ims_note"
"""Kind of an event that IMS itself adds to the story of a run."""

_FAILURES: Final = frozenset({FAILED, UNREACHABLE, "runner_item_on_failed", "runner_retry"})
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
    """One line of a run's story. ``counter`` counts from 1 without gaps; ``at`` is in UTC."""

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
        """Build it from what ``condense`` made on the child's side."""
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
    """Return the few things of an ansible-runner event that are kept, ready for JSON."""
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


def cut(text: str, limit: int) -> str:
    """Return ``text`` without NUL, which PostgreSQL refuses, and with a visible note after ``limit`` characters."""
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
        # A result under no_log says only that it is censored: whether the task changed something is unknown.
        data["changed"] = None if "censored" in result else bool(result.get("changed"))
        # Ansible leaves the mark on the events of a loop's items alone, not on the one that closes the loop.
        data["delegated"] = "_ansible_delegated_vars" in result or None
        data["items"] = len(result["results"]) if isinstance(result.get("results"), list) else None
        if kind in _FAILURES:
            data["message"] = cut(failure_message(result), MAX_MESSAGE)
            data["ignored"] = bool(details.get("ignore_errors"))
    return {name: value for name, value in data.items() if value not in (None, "")}


def _recap(details: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    recap: dict[str, dict[str, int]] = {str(host): {} for host in details.get("processed") or {}}
    for theirs, ours in _COUNTS.items():
        for host, count in (details.get(theirs) or {}).items():
            recap.setdefault(str(host), {})[ours] = int(count)
    return recap


def failure_message(result: Mapping[str, Any]) -> str:
    """Return the most telling sentence of a failed task's result."""
    if "censored" in result:
        return str(result["censored"])
    parts = [str(result[name]).strip() for name in ("msg", "reason") if result.get(name)][:1]
    # include_vars says why only here.
    if (message := str(result.get("message") or "").strip()) and message not in parts:
        parts.append(message)
    items = result.get("results")
    for item in items if isinstance(items, list) else []:
        if isinstance(item, Mapping) and item.get("failed"):
            parts.append(failure_message(item))
            break
    # A module that ran a command says "non-zero return code"; why, is in what the command said last.
    said = str(result.get("stderr") or result.get("module_stderr") or (result.get("rc") and result.get("stdout")) or "")
    if said.strip():
        parts.append(said.strip()[-MAX_MESSAGE // 2 :])
    return ": ".join(parts)
