"""Timeline events as sentences for people.

The data of an event comes from what it tells of, in part from senders; here it is only put into words, and the
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
    """What a line is about; one shape and one colour each."""

    ALERT = "alert"
    AUTOMATION = "automation"
    REFUSED = "refused"
    HEALTHY = "healthy"
    PEOPLE = "people"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One line of the timeline: `text` in a sentence, `detail` quoted below it, `run` to link to its log.

    `is_prose` says that a person wrote the detail, in Markdown; here it is as it was typed.
    """

    tone: Tone
    text: str
    detail: str = ""
    run: str = ""
    is_prose: bool = False


def sentence_of(event: TimelineEvent) -> Sentence:
    """The sentence of an event; a kind this version does not know is still told by its name."""
    try:
        tell = _SENTENCES[EventKind(event.kind)]
    except (ValueError, KeyError):
        return Sentence(Tone.PLAIN, event.kind.replace("_", " ").capitalize())
    return tell(_Told(event, event.data or {}))


@dataclass(frozen=True, slots=True)
class _Told:
    """An event with the questions a sentence asks of it."""

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
        """The run's name, R-7; empty if the event tells of none."""
        name = self.value("run", "run_number", "number")
        if not name and self.event.actor_kind == ActorKind.RUN:
            name = self.event.actor
        return f"R-{name}" if name.isdecimal() else name

    def value(self, *names: str) -> str:
        """The first of these values that is there, as text."""
        for name in names:
            value = self.data.get(name)
            if value not in (None, "", [], {}):
                return str(value)
        return ""

    def seconds(self, prefix: str) -> str:
        """How long it took, with a word before it; empty if the event does not say."""
        value = self.data.get("seconds")
        return f" {prefix} {duration(float(value))}" if isinstance(value, int | float) else ""


def _opened(told: _Told) -> Sentence:
    if told.is_person:
        return Sentence(Tone.PEOPLE, f"{told.event.actor} opened the incident")
    again = told.value("recurrence_of")
    return Sentence(Tone.ALERT, "Incident opened" + (" again: it was resolved a short time ago" if again else ""))


def _firing(told: _Told) -> Sentence:
    name, where = told.value("alert"), told.value("service", "instance")
    text = f"Alert {name} is firing" if name else "An alert is firing"
    text = f"{text} for {where}" if where else text
    return Sentence(Tone.ALERT, text + _missed(told), told.value("summary"))


def _cleared(told: _Told) -> Sentence:
    name = told.value("alert")
    text = f"Alert {name} is resolved" if name else "The alert is resolved"
    return Sentence(Tone.HEALTHY, text + told.seconds("after") + _missed(told))


def _missed(told: _Told) -> str:
    """No notification of it came: it was found by asking."""
    return ", as its Alertmanager says when asked" if told.value("missed") else ""


def _raised(told: _Told) -> Sentence:
    before, to = told.value("from"), told.value("to")
    return Sentence(Tone.ALERT, f"Severity raised{f' from {before}' if before else ''} to {to}")


def _allowed(told: _Told) -> Sentence:
    rule, target = told.value("rule") or told.event.actor, told.value("target", "service")
    attempt, attempts = told.value("attempt"), told.value("attempts")
    count = f", attempt {attempt}{f' of {attempts}' if attempts else ''}" if attempt else ""
    where = f" on {target}" if target else ""
    return Sentence(Tone.AUTOMATION, f"Rule {rule} allowed a run{where}{count}")


def _refused(told: _Told) -> Sentence:
    rule = told.value("rule") or told.event.actor
    reason = told.value("words") or reason_in_words(told.value("reason"))
    text = f"Rule {rule} refused a run" + (f": {reason}" if reason else "")
    return Sentence(Tone.REFUSED, text, told.value("message"))


REASONS = {
    "no_policy": "no policy is active",
    "no_rule": "no rule matches",
    "no_target": "the alert names no known service",
    "mode_off": "healing is switched off",
    "observe": "healing only observes",
    "self": "its platform restarts this service",
    "manual": "only people restart this service",
    "parameter": "the alert does not give what the playbook needs",
    "attempts": "all attempts are used up",
    "not_repeatable": "nobody knows how far the last run came, and it may not be repeated",
    "still_firing": "the service is healthy, but the alert still fires",
    "target_busy": "another run is at work on this target",
    "cooldown": "the last run on this target was too short a time ago",
    "maintenance": "a maintenance window is open",
    "flapping": "the alert comes and goes",
}
"""Reasons of guards in words, for events that do not carry their own: those of earlier versions."""


def reason_in_words(reason: str) -> str:
    """A guard's reason as the end of a sentence; one that has no words here is told by its name."""
    return REASONS.get(reason, reason.replace("_", " "))


def _no_rule(told: _Told) -> Sentence:
    name, reason = told.value("alert"), told.value("reason")
    if reason not in ("", "no_rule"):
        return Sentence(Tone.REFUSED, f"Nothing was run: {told.value('words') or reason_in_words(reason)}")
    return Sentence(Tone.REFUSED, f"No healing rule matches alert {name}" if name else "No healing rule matches")


def _started(told: _Told) -> Sentence:
    run, playbook, target = told.run, told.value("playbook"), told.value("target")
    doing = f": {playbook}" if playbook else ""
    return Sentence(Tone.AUTOMATION, f"Run {run} started{doing}{f' on {target}' if target else ''}", run=run)


def _finished(told: _Told) -> Sentence:
    run, outcome = told.run, told.value("outcome")
    took = told.seconds("after")
    failed = outcome in ("failed", "timed_out", "cancelled", "unknown")
    if not failed:
        return Sentence(Tone.AUTOMATION, f"Run {run} finished{took}, verifying", run=run)
    task, reason = told.value("failed_task"), told.value("reason")
    text = f"Run {run} {outcome.replace('_', ' ')}{took}" + (f" in task “{task}”" if task else "")
    return Sentence(Tone.ALERT, text, reason, run)


def _lost(told: _Told) -> Sentence:
    run = told.run
    return Sentence(Tone.ALERT, f"Run {run} was lost: its worker went away", told.value("reason"), run)


def _approval_requested(told: _Told) -> Sentence:
    playbook, target = told.value("playbook"), told.value("target")
    return Sentence(Tone.PEOPLE, f"{told.who} asked for approval of {told.run}: {playbook} on {target}", run=told.run)


def _approved(told: _Told) -> Sentence:
    return Sentence(Tone.PEOPLE, f"{told.who} approved {told.run}", told.value("reason"), told.run)


def _rejected(told: _Told) -> Sentence:
    return Sentence(Tone.PEOPLE, f"{told.who} rejected {told.run}", told.value("reason"), told.run)


def _healthy(told: _Told) -> Sentence:
    where, run = told.value("service", "target"), told.run
    return Sentence(Tone.HEALTHY, f"Verification passed{f': {where}' if where else ''}", told.value("reason"), run)


def _unhealthy(told: _Told) -> Sentence:
    where = told.value("service", "target")
    text = f"{where} is still unhealthy" if where else "It is still unhealthy"
    return Sentence(Tone.ALERT, text, told.value("reason"), told.run)


def _gave_up(told: _Told) -> Sentence:
    return Sentence(Tone.PEOPLE, "Automation gave up, a person is needed", told.value("message", "reason"))


def _acknowledged(told: _Told) -> Sentence:
    return Sentence(Tone.PEOPLE, f"{told.who} acknowledged the incident")


def _progress(told: _Told) -> Sentence:
    return Sentence(Tone.PEOPLE, f"{told.who} is working on it")


def _resolved(told: _Told) -> Sentence:
    if told.is_person:
        return Sentence(Tone.HEALTHY, f"{told.event.actor} resolved the incident", told.value("note"), is_prose=True)
    return Sentence(Tone.HEALTHY, "Incident resolved: no alert is left", told.value("note"))


def _edited(told: _Told) -> Sentence:
    changes = told.data.get("changes")
    if not isinstance(changes, Mapping) or not changes:
        return Sentence(Tone.PLAIN, f"{told.who} edited the incident")
    return Sentence(Tone.PLAIN, f"{told.who} changed " + ", ".join(_change(n, c) for n, c in changes.items()))


def _change(name: str, change: object) -> str:
    if name == "description" or not isinstance(change, Mapping):
        return f"the {name}"
    return f"{name} from {change.get('from') or 'none'} to {change.get('to') or 'none'}"


def _note(told: _Told) -> Sentence:
    return Sentence(Tone.PEOPLE, f"{told.who} noted", told.value("text"), is_prose=True)


def _maintenance(told: _Told) -> Sentence:
    window = told.value("window")
    text = "Maintenance" + (f" ({window})" if window else "") + ": nobody is told and nothing is healed"
    return Sentence(Tone.PLAIN, text, told.value("reason"))


def _maintenance_over(told: _Told) -> Sentence:
    window = told.value("window")
    text = "Maintenance" + (f" ({window})" if window else "") + " is over: what still fires is treated as new"
    return Sentence(Tone.PLAIN, text)


def _flapping(told: _Told) -> Sentence:
    name, episodes = told.value("alert"), told.value("episodes")
    within = told.data.get("within")
    often = f" more than {episodes} times" if episodes else ""
    period = f" in {duration(float(within))}" if isinstance(within, int | float) else ""
    return Sentence(Tone.ALERT, f"Alert {name} is flapping: it fired{often}{period}" if name else "It is flapping")


_SENTENCES: dict[EventKind, Callable[[_Told], Sentence]] = {
    EventKind.INCIDENT_OPENED: _opened,
    EventKind.ALERT_FIRING: _firing,
    EventKind.ALERT_RESOLVED: _cleared,
    EventKind.SEVERITY_RAISED: _raised,
    EventKind.RULE_ALLOWED: _allowed,
    EventKind.RULE_DENIED: _refused,
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
