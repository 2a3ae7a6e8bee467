"""How a run ended. The recap decides, never the exit code alone.

ansible-playbook ends with 0 when no host matched the limit, with 4 for an unreachable host and for a parser error
alike, and reports rescued tasks as failed on the way; only its closing statistics say what became of the target.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from ims.runs.events import ITEM_OK, OK, UNREACHABLE, RunEvent

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_MAX_WORDS = 500  # characters
_ERROR = "[ERROR]:"
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
"""Ansible's own actions that never ask the target, so that they are ok for one that does not answer."""


class Outcome(StrEnum):
    """What became of one execution of a playbook."""

    SUCCEEDED = "succeeded"
    """The recap shows the target without failures; whether the service is well is another question."""
    FAILED = "failed"
    """The playbook ended by itself and did not do its work."""
    TIMED_OUT = "timed_out"
    """Stopped at its deadline."""
    CANCELLED = "cancelled"
    """Stopped because the caller asked for it."""
    DIED = "died"
    """Some process of the run was killed from outside; nobody knows how far it came."""


class Stop(StrEnum):
    """Why a run was told to stop before its end."""

    DEADLINE = "deadline"
    ASKED = "asked"


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
        """Whether no task failed for good; a rescued or ignored failure is none."""
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
    """The end of a run, with a reason that a person understands."""

    outcome: Outcome
    reason: str
    rc: int | None = None
    """Exit code of ansible-playbook; None if it did not exit by itself."""
    recap: Mapping[str, HostRecap] = field(default_factory=dict)
    failed_task: FailedTask | None = None
    left_behind: tuple[str, ...] = ()
    """Names of the programs that were still there after the playbook's end, and were killed."""
    survivors: tuple[str, ...] = ()
    """Names of those that could not be killed because they belong to another user."""
    first_task_seconds: float | None = None
    """Seconds from the call to the start of the first task."""
    seconds: float = 0.0
    """Seconds from the call until nothing of the run was left."""


def read_recap(counts: Mapping[str, Any]) -> dict[str, HostRecap]:
    """Build the recap from the data of a ``playbook_on_stats`` event."""
    return {host: HostRecap(**numbers) for host, numbers in counts.items()}


@dataclass(slots=True)
class Ending:
    """What is known when a run has ended; collected while it goes on."""

    target: str
    recap: dict[str, HostRecap] | None = None
    rc: int | None = None
    finished: bool = False
    """Whether the run's child told its end itself."""
    stop: Stop | None = None
    timeout: float = 0.0
    """Seconds, for the reason."""
    failures: dict[str, FailedTask] = field(default_factory=dict)
    """The last failure of each host."""
    was_reached: bool = False
    """Whether a task succeeded that the target itself had to answer."""
    was_unreachable: bool = False
    """Whether the target could not be reached for a task, even if the playbook ignores that."""
    last_words: str = ""
    """What was printed outside of any task and tells best why nothing ran."""

    def hear(self, text: str) -> None:
        """Remember the first error of those lines that belong to no task, or the last line if there is no error."""
        for line in _ANSI.sub("", text).splitlines():
            if line.strip() and not self.last_words.startswith(_ERROR):
                self.last_words = line.strip()[:_MAX_WORDS]

    def note_contact(self, event: RunEvent) -> None:
        """Remember whether the target answered: the recap does not tell when the playbook ignores that it did not."""
        if event.host != self.target:
            return
        self.was_unreachable |= event.kind == UNREACHABLE
        self.was_reached |= event.kind in (OK, ITEM_OK) and _asked_target(event.data)

    def decide(self) -> tuple[Outcome, str]:
        """Return the outcome and its reason."""
        recap = self.recap or {}
        if self.rc == 0 and self.target in recap and all(host.is_good for host in recap.values()):
            if self.was_unreachable and not self.was_reached:
                # The recap counts a task that an ignored unreachable host never got as ok.
                return Outcome.FAILED, f"{self.target} could not be reached, and no task succeeded on it."
            return Outcome.SUCCEEDED, f"All tasks on {self.target} ended well."
        if self.stop is Stop.DEADLINE:
            return Outcome.TIMED_OUT, f"The playbook was stopped at its deadline of {self.timeout:g} s."
        if self.stop is Stop.ASKED:
            return Outcome.CANCELLED, "The playbook was cancelled."
        if not self.finished:
            return Outcome.DIED, "The process of the run was killed from outside."
        if self.rc is None:
            return Outcome.DIED, "ansible-playbook was killed from outside."
        return Outcome.FAILED, self._why_it_failed(recap)

    def failed_task(self) -> FailedTask | None:
        """Return the failure that counts: one of a host that the recap calls failed, the target's first."""
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
        words = f": {self.last_words}" if self.last_words else "."
        return f"ansible-playbook ended with exit code {self.rc}{words}"


def _asked_target(data: Mapping[str, Any]) -> bool:
    """Whether the target took part in what succeeded; of a loop, its items say so."""
    action = str(data.get("action", "")).removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
    return not (data.get("delegated") or data.get("items") or action in _ON_CONTROLLER)
