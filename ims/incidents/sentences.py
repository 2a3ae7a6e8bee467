"""Timeline events as sentences for people.

The data of an event comes from alerts, runs and people, in part from senders. This module renders it as plain text; the
template escapes it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ims.core.actors import HUMAN, ActorKind
from ims.core.wording import duration
from ims.incidents.models import EventKind, TimelineEvent


class Tone(StrEnum):
    """The subject of a line; each has its own icon and colour."""

    ALERT = "alert"
    AUTOMATION = "automation"
    DENIED = "denied"
    HEALTHY = "healthy"
    PEOPLE = "people"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One line of the timeline: `text` is the sentence, `detail` is quoted below it, `run` links to the run's log.

    `is_prose` says that a person wrote the detail in Markdown; it is stored here as typed.
    """

    tone: Tone
    text: str
    detail: str = ""
    run: str = ""
    is_prose: bool = False


def sentence_of(event: TimelineEvent) -> Sentence:
    """Render an event as a sentence; an event kind that this version does not know is shown by its name."""
    try:
        render = _SENTENCES[EventKind(event.kind)]
    except (ValueError, KeyError):
        return Sentence(Tone.PLAIN, event.kind.replace("_", " ").capitalize())
    return render(_Entry(event, event.data or {}))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A timeline event with accessors for the values that sentences use."""

    event: TimelineEvent
    data: Mapping[str, Any]

    @property
    def is_person(self) -> bool:
        return self.event.actor_kind in HUMAN

    @property
    def who(self) -> str:
        return "IMS" if self.event.actor_kind == ActorKind.SYSTEM else self.event.actor

    @property
    def run(self) -> str:
        """The run's name, R-7; empty if the event has no run."""
        name = self.value("run", "run_number", "number")
        if not name and self.event.actor_kind == ActorKind.RUN:
            name = self.event.actor
        return f"R-{name}" if name.isdecimal() else name

    def value(self, *names: str) -> str:
        """The first of these values that is present, as text; empty if none is."""
        for name in names:
            value = self.data.get(name)
            if value not in (None, "", [], {}):
                return str(value)
        return ""

    def seconds(self, prefix: str) -> str:
        """The duration with `prefix` before it; empty if the event has no duration."""
        value = self.data.get("seconds")
        return f" {prefix} {duration(float(value))}" if isinstance(value, int | float) else ""


UNPROVEN = {
    "paused": "its rule was paused",
    "ruledeleted": "its rule was deleted",
    "updated": "its rule was changed",
    "missingseries": "its series is gone",
}
"""Reasons for which Grafana resolves an alert that has not recovered, in lower case."""


def _opened(entry: _Entry) -> Sentence:
    if entry.is_person:
        return Sentence(Tone.PEOPLE, f"{entry.event.actor} opened the incident")
    again = entry.value("recurrence_of")
    return Sentence(Tone.ALERT, "Incident opened" + (" again: it was resolved recently" if again else ""))


def _firing(entry: _Entry) -> Sentence:
    name, where = entry.value("alert"), entry.value("service", "instance")
    text = f"Alert {name} is firing" if name else "An alert is firing"
    text = f"{text} for {where}" if where else text
    return Sentence(Tone.ALERT, text + _missed(entry), entry.value("summary"))


def _cleared(entry: _Entry) -> Sentence:
    name = entry.value("alert")
    if unproven := entry.value("unproven"):
        reason = UNPROVEN.get(unproven, unproven)
        return Sentence(Tone.PLAIN, f"Alert {name} no longer fires, but has not recovered: {reason}")
    text = f"Alert {name} is resolved" if name else "The alert is resolved"
    return Sentence(Tone.HEALTHY, text + entry.seconds("after") + _missed(entry))


def _truncated(entry: _Entry) -> Sentence:
    alerts = entry.value("alerts")
    text = "1 more alert" if alerts == "1" else f"{alerts} more alerts"
    return Sentence(Tone.ALERT, f"{entry.who} left out {text}, and has no Alertmanager to fetch them from")


def _missed(entry: _Entry) -> str:
    """Marks a change for which no notification arrived: reconciliation found it."""
    return " (no notification arrived; found by polling Alertmanager)" if entry.value("missed") else ""


def _raised(entry: _Entry) -> Sentence:
    before, to = entry.value("from"), entry.value("to")
    return Sentence(Tone.ALERT, f"Severity raised{f' from {before}' if before else ''} to {to}")


def _allowed(entry: _Entry) -> Sentence:
    rule, target = entry.value("rule") or entry.event.actor, entry.value("target", "service")
    attempt, attempts = entry.value("attempt"), entry.value("attempts")
    count = f", attempt {attempt}{f' of {attempts}' if attempts else ''}" if attempt else ""
    where = f" on {target}" if target else ""
    return Sentence(Tone.AUTOMATION, f"Rule {rule} allowed a run{where}{count}")


def _denied(entry: _Entry) -> Sentence:
    rule = entry.value("rule") or entry.event.actor
    reason = entry.value("words") or reason_phrase(entry.value("reason"))
    text = f"Rule {rule} denied a run" + (f": {reason}" if reason else "")
    return Sentence(Tone.DENIED, text, entry.value("message"))


REASONS = {
    "no_policy": "no policy is active",
    "no_rule": "no rule matches",
    "no_target": "the alert names no known service",
    "mode_off": "healing is switched off",
    "observe": "healing only observes",
    "self": "its platform restarts this service",
    "manual": "only people restart this service",
    "parameter": "a parameter of the playbook is missing or invalid",
    "attempts": "all attempts are used up",
    "not_repeatable": "how far the last run got is unknown, and it may not be repeated",
    "still_firing": "the service is healthy, but the alert still fires",
    "target_busy": "another run is active on this target",
    "cooldown": "the target is cooling down after its last run",
    "maintenance": "a maintenance window is open",
    "flapping": "the alert is flapping",
}
"""Phrases for the reasons of guards, for events of earlier versions, which do not store the phrase themselves."""


def reason_phrase(reason: str) -> str:
    """A guard's reason as the end of a sentence; an unknown reason is shown by its name."""
    return REASONS.get(reason, reason.replace("_", " "))


def _no_rule(entry: _Entry) -> Sentence:
    name, reason = entry.value("alert"), entry.value("reason")
    if reason not in ("", "no_rule"):
        return Sentence(Tone.DENIED, f"Nothing was run: {entry.value('words') or reason_phrase(reason)}")
    return Sentence(Tone.DENIED, f"No healing rule matches alert {name}" if name else "No healing rule matches")


def _started(entry: _Entry) -> Sentence:
    run, playbook, target = entry.run, entry.value("playbook"), entry.value("target")
    doing = f": {playbook}" if playbook else ""
    return Sentence(Tone.AUTOMATION, f"Run {run} started{doing}{f' on {target}' if target else ''}", run=run)


def _finished(entry: _Entry) -> Sentence:
    run, outcome = entry.run, entry.value("outcome")
    took = entry.seconds("after")
    failed = outcome in ("failed", "timed_out", "cancelled", "unknown")
    if not failed:
        return Sentence(Tone.AUTOMATION, f"Run {run} finished{took}, verifying", run=run)
    task, reason = entry.value("failed_task"), entry.value("reason")
    text = f"Run {run} {outcome.replace('_', ' ')}{took}" + (f" in task “{task}”" if task else "")
    return Sentence(Tone.ALERT, text, reason, run)


def _lost(entry: _Entry) -> Sentence:
    run = entry.run
    return Sentence(Tone.ALERT, f"Run {run} was lost: its worker stopped responding", entry.value("reason"), run)


def _approval_requested(entry: _Entry) -> Sentence:
    playbook, target = entry.value("playbook"), entry.value("target")
    text = f"{entry.who} requested approval of {entry.run}: {playbook} on {target}"
    return Sentence(Tone.PEOPLE, text, run=entry.run)


def _approved(entry: _Entry) -> Sentence:
    return Sentence(Tone.PEOPLE, f"{entry.who} approved {entry.run}", entry.value("reason"), entry.run)


def _rejected(entry: _Entry) -> Sentence:
    return Sentence(Tone.PEOPLE, f"{entry.who} rejected {entry.run}", entry.value("reason"), entry.run)


def _healthy(entry: _Entry) -> Sentence:
    where, run = entry.value("service", "target"), entry.run
    return Sentence(Tone.HEALTHY, f"Verification passed{f': {where}' if where else ''}", entry.value("reason"), run)


def _unhealthy(entry: _Entry) -> Sentence:
    where = entry.value("service", "target")
    text = f"{where} is still unhealthy" if where else "It is still unhealthy"
    return Sentence(Tone.ALERT, text, entry.value("reason"), entry.run)


def _gave_up(entry: _Entry) -> Sentence:
    return Sentence(Tone.PEOPLE, "Automation gave up: the incident needs attention", entry.value("message", "reason"))


def _acknowledged(entry: _Entry) -> Sentence:
    return Sentence(Tone.PEOPLE, f"{entry.who} acknowledged the incident")


def _progress(entry: _Entry) -> Sentence:
    return Sentence(Tone.PEOPLE, f"{entry.who} is working on it")


def _resolved(entry: _Entry) -> Sentence:
    if entry.is_person:
        return Sentence(Tone.HEALTHY, f"{entry.event.actor} resolved the incident", entry.value("note"), is_prose=True)
    return Sentence(Tone.HEALTHY, "Incident resolved: all its alerts are resolved", entry.value("note"))


def _edited(entry: _Entry) -> Sentence:
    changes = entry.data.get("changes")
    if not isinstance(changes, Mapping) or not changes:
        return Sentence(Tone.PLAIN, f"{entry.who} edited the incident")
    return Sentence(Tone.PLAIN, f"{entry.who} changed " + ", ".join(_change(n, c) for n, c in changes.items()))


def _change(name: str, change: object) -> str:
    if name == "description" or not isinstance(change, Mapping):
        return f"the {name}"
    return f"{name} from {change.get('from') or 'none'} to {change.get('to') or 'none'}"


def _note(entry: _Entry) -> Sentence:
    return Sentence(Tone.PEOPLE, f"{entry.who} noted", entry.value("text"), is_prose=True)


def _maintenance(entry: _Entry) -> Sentence:
    window = entry.value("window")
    text = "Maintenance" + (f" ({window})" if window else "") + ": IMS records alerts, but does not heal or notify"
    return Sentence(Tone.PLAIN, text, entry.value("reason"))


def _maintenance_over(entry: _Entry) -> Sentence:
    window = entry.value("window")
    text = "Maintenance" + (f" ({window})" if window else "") + " is over: alerts that still fire are treated as new"
    return Sentence(Tone.PLAIN, text)


def _flapping(entry: _Entry) -> Sentence:
    name, episodes = entry.value("alert"), entry.value("episodes")
    within = entry.data.get("within")
    often = f" more than {episodes} times" if episodes else ""
    period = f" in {duration(float(within))}" if isinstance(within, int | float) else ""
    return Sentence(Tone.ALERT, f"Alert {name} is flapping: it fired{often}{period}" if name else "It is flapping")


_SENTENCES: dict[EventKind, Callable[[_Entry], Sentence]] = {
    EventKind.INCIDENT_OPENED: _opened,
    EventKind.ALERT_FIRING: _firing,
    EventKind.ALERT_RESOLVED: _cleared,
    EventKind.ALERTS_TRUNCATED: _truncated,
    EventKind.SEVERITY_RAISED: _raised,
    EventKind.RULE_ALLOWED: _allowed,
    EventKind.RULE_DENIED: _denied,
    EventKind.NO_RULE: _no_rule,
    EventKind.RUN_STARTED: _started,
    EventKind.RUN_FINISHED: _finished,
    EventKind.RUN_LOST: _lost,
    EventKind.APPROVAL_REQUESTED: _approval_requested,
    EventKind.RUN_APPROVED: _approved,
    EventKind.RUN_REJECTED: _rejected,
    EventKind.VERIFICATION_PASSED: _healthy,
    EventKind.VERIFICATION_FAILED: _unhealthy,
    EventKind.AUTOMATION_GAVE_UP: _gave_up,
    EventKind.MAINTENANCE_BEGAN: _maintenance,
    EventKind.MAINTENANCE_ENDED: _maintenance_over,
    EventKind.FLAPPING: _flapping,
    EventKind.ACKNOWLEDGED: _acknowledged,
    EventKind.IN_PROGRESS: _progress,
    EventKind.RESOLVED: _resolved,
    EventKind.EDITED: _edited,
    EventKind.NOTE: _note,
}
