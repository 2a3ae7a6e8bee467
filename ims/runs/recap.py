"""The outcome of a run. The recap decides it, never the exit code alone.

ansible-playbook exits with 0 if no host matched the limit, and with 4 both for an unreachable host and for a parser
error, and it reports rescued tasks as failed in between. Only its closing statistics say what happened on the target.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from ims.runs.events import FAILED, ITEM_FAILED, ITEM_OK, OK, SKIPPED, STARTED, UNREACHABLE, RunEvent

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_MAX_LINE = 500  # characters
_ERROR = "[ERROR]:"
_ENDED: Final = frozenset({OK, FAILED, UNREACHABLE, SKIPPED})
_NEVER_CONNECTED = re.compile(
    r"ssh: connect to host|Could not resolve hostname|Permission denied|Host key verification failed"
    r"|REMOTE HOST IDENTIFICATION HAS CHANGED|kex_exchange_identification|banner exchange"
    r"|no matching (host key|cipher|key)|Too many authentication failures|[Ii]ncorrect password|UNPROTECTED PRIVATE KEY"
)
"""What ssh says when no connection came about."""
_TASK_HAD_ENDED: Final = re.compile(r"The requested handler .* was not found")
"""What ansible-core 2.21 ends with instead of reporting the end of the task that notified this handler."""
_NOTHING_COPIED: Final = "Failed to create temporary directory"
"""What Ansible says when it could not even copy the module."""
_ON_CONTROLLER: Final = frozenset(
    {
        "add_host",
        "assert",
        "debug",
        "fail",
        "group_by",
        "include_vars",
        "pause",
        "set_fact",
        "set_stats",
        "validate_argument_spec",
    }
)
"""Ansible's own actions that do not contact the target, so that they also succeed for an unreachable target."""


class Outcome(StrEnum):
    """Outcome of one execution of a playbook."""

    SUCCEEDED = "succeeded"
    """The recap shows the target without failures. This does not say whether the service is healthy."""
    FAILED = "failed"
    """The playbook ended by itself without success."""
    TIMED_OUT = "timed_out"
    """Stopped at its deadline."""
    CANCELLED = "cancelled"
    """Stopped because the caller cancelled it."""
    UNKNOWN = "unknown"
    """The playbook ended, but how far one of its tasks came is unknown."""
    DIED = "died"
    """A process of the run was killed from outside; how far the playbook came is unknown."""


class Stop(StrEnum):
    """Why a run was stopped before its end."""

    DEADLINE = "deadline"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class HostRecap:
    """ansible-playbook's closing statistics for one host: numbers of tasks."""

    ok: int = 0
    changed: int = 0
    failures: int = 0
    unreachable: int = 0
    skipped: int = 0
    rescued: int = 0
    ignored: int = 0

    @property
    def is_good(self) -> bool:
        """Whether no task failed; rescued and ignored failures do not count."""
        return self.failures == 0 and self.unreachable == 0


@dataclass(frozen=True, slots=True)
class FailedTask:
    """The task that made the playbook fail."""

    task: str
    host: str
    message: str
    play: str | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of a run, with a reason for people."""

    outcome: Outcome
    reason: str
    cut_short: bool = False
    """Whether a task may have been ended in the middle: then a repetition may do twice what it did."""
    rc: int | None = None
    """Exit code of ansible-playbook; None if it did not exit by itself."""
    recap: Mapping[str, HostRecap] = field(default_factory=dict)
    failed_task: FailedTask | None = None
    left_behind: tuple[str, ...] = ()
    """Names of the programs that were still running after the playbook's end and were killed."""
    survivors: tuple[str, ...] = ()
    """Names of the programs that could not be killed because they belong to another user."""
    first_task_seconds: float | None = None
    """Seconds from the call to the start of the first task."""
    seconds: float = 0.0
    """Seconds from the call until no process of the run was left."""


def read_recap(counts: Mapping[str, Any]) -> dict[str, HostRecap]:
    """Build the recap from the data of a ``playbook_on_stats`` event."""
    return {host: HostRecap(**numbers) for host, numbers in counts.items()}


@dataclass(slots=True)
class Ending:
    """Facts that decide the outcome of a run, collected while it is running."""

    target: str
    recap: dict[str, HostRecap] | None = None
    rc: int | None = None
    finished: bool = False
    """Whether the run's child reported its end itself."""
    is_silent: bool = False
    """Whether the child was started and reported no end, so that its last events may be missing."""
    stop: Stop | None = None
    timeout: float = 0.0
    """Seconds, for the reason."""
    failures: dict[str, FailedTask] = field(default_factory=dict)
    """The last failure of each host."""
    was_reached: bool = False
    """Whether a task that contacts the target succeeded."""
    was_unreachable: bool = False
    """Whether the target could not be reached for a task, even if the playbook ignores that."""
    under_way: dict[str, str] = field(default_factory=dict)
    """The task of each host that was started and has reported no end yet."""
    cuts: list[str] = field(default_factory=list)
    """Sentences about the tasks that were interrupted."""
    last_line: str = ""
    """The output outside of any task that best explains why nothing ran."""

    def note_output(self, text: str) -> None:
        """Keep the first error of the output outside of tasks, or the last line if there is no error."""
        for line in _ANSI.sub("", text).splitlines():
            if line.strip() and not self.last_line.startswith(_ERROR):
                self.last_line = line.strip()[:_MAX_LINE]

    def note_contact(self, event: RunEvent) -> None:
        """Keep whether the target was reached: the recap does not show it if the playbook ignores unreachable hosts."""
        if event.host != self.target:
            return
        self.was_unreachable |= event.kind == UNREACHABLE
        self.was_reached |= event.kind in (OK, ITEM_OK) and _contacted_target(event.data)

    def note_progress(self, event: RunEvent) -> None:
        """Keep which tasks are under way, and which were interrupted."""
        if not event.host:
            return
        task = event.task or str(event.data.get("action", ""))
        if event.kind == STARTED:
            self.under_way[event.host] = task
        elif event.kind in _ENDED:
            self.under_way.pop(event.host, None)
        if event.kind in (FAILED, ITEM_FAILED, UNREACHABLE) and (how := self._how_cut_short(event)):
            self.cuts.append(f"Task {task!r} on {event.host} {how}")

    def _how_cut_short(self, event: RunEvent) -> str | None:
        if event.kind != UNREACHABLE:
            return event.data.get("cut_short")
        message = str(event.data.get("message", ""))
        is_first = event.host != self.target or not self.was_reached
        if _NOTHING_COPIED in message or (is_first and _NEVER_CONNECTED.search(message)):
            return None
        return "lost its connection"

    @property
    def cut_short(self) -> str | None:
        """Why it is unknown how far the run came; None if each task that was started has reported its end.

        Ansible's closing statistics come after the end of every task, so without them a task that is still under way
        was executed by a process that was killed.
        """
        if self.is_silent or (self.stop is None and (self.rc is None or not self.finished)):
            return "Some process of the run was killed from outside."
        if self.cuts:
            return f"{self.cuts[0]}: how far it came is unknown."
        if self.under_way and self.recap is None and not _TASK_HAD_ENDED.search(self.last_line):
            host, task = next(iter(self.under_way.items()))
            return f"Task {task!r} on {host} was started, and the process that executed it was killed."
        return None

    def decide(self) -> tuple[Outcome, str]:
        """Return the outcome and its reason."""
        recap = self.recap or {}
        if self.rc == 0 and self.target in recap and all(host.is_good for host in recap.values()):
            if self.was_unreachable and not self.was_reached:
                # The recap counts a task as ok that did not reach a host whose unreachability is ignored.
                return Outcome.FAILED, f"{self.target} could not be reached, and no task succeeded on it."
            return Outcome.SUCCEEDED, f"All tasks on {self.target} succeeded."
        if self.stop is Stop.DEADLINE:
            return Outcome.TIMED_OUT, f"The playbook was stopped at its deadline of {self.timeout:g} s."
        if self.stop is Stop.CANCEL:
            return Outcome.CANCELLED, "The playbook was cancelled."
        if not self.finished:
            return Outcome.DIED, "The process of the run was killed from outside."
        if self.rc is None:
            return Outcome.DIED, "ansible-playbook was killed from outside."
        if self.cut_short:
            return Outcome.UNKNOWN, self.cut_short
        return Outcome.FAILED, self._why_it_failed(recap)

    def failed_task(self) -> FailedTask | None:
        """Return the failure of a host that failed according to the recap, preferring the target's."""
        bad = [host for host, numbers in (self.recap or {}).items() if not numbers.is_good]
        for host in sorted(bad, key=lambda name: (name != self.target, name)):
            if host in self.failures:
                return self.failures[host]
        return None

    def _why_it_failed(self, recap: Mapping[str, HostRecap]) -> str:
        failed = self.failed_task()
        if failed:
            return f"Task {failed.task!r} failed on {failed.host}."
        bad = sorted(host for host, numbers in recap.items() if not numbers.is_good)
        if bad:
            return f"Tasks failed on {', '.join(bad)}."
        if not recap and self.rc == 0:
            return "The playbook matched no host: it did nothing."
        if self.target not in recap and self.rc == 0:
            return f"The playbook did nothing on {self.target}."
        details = f": {self.last_line}" if self.last_line else "."
        return f"ansible-playbook ended with exit code {self.rc}{details}"


def _contacted_target(data: Mapping[str, Any]) -> bool:
    """Whether a successful task contacted the target; for a loop only the events of its items count."""
    action = str(data.get("action", "")).removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
    return not (data.get("delegated") or data.get("items") or action in _ON_CONTROLLER)
