"""Guards: whether a rule may start its playbook now. Pure: everything they need is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ims.policy.schema import HealingMode, HealingRule, Service
from ims.policy.windows import Cover
from ims.runs.models import ACTIVE, RunStatus
from ims.runs.usecases import STILL_FIRING_CHECK


class Reason(StrEnum):
    """What a decision came to. All but `allowed` and `under_way` are stored as refusals."""

    ALLOWED = "allowed"
    UNDER_WAY = "under_way"
    """A run of this episode is queued, running or being verified, or it healed the service a moment ago."""
    NO_POLICY = "no_policy"
    NO_RULE = "no_rule"
    NO_TARGET = "no_target"
    MODE_OFF = "mode_off"
    OBSERVE = "observe"
    SELF = "self"
    """The platform restarts it; a worker cannot heal itself from inside its own run."""
    MANUAL = "manual"
    PARAMETER = "parameter"
    ATTEMPTS = "attempts"
    NOT_REPEATABLE = "not_repeatable"
    STILL_FIRING = "still_firing"
    TARGET_BUSY = "target_busy"
    COOLDOWN = "cooldown"
    MAINTENANCE = "maintenance"
    """A maintenance window is open: nobody is told either."""
    FLAPPING = "flapping"


BUSY_RETRY = timedelta(seconds=2)
"""How soon a decision is repeated when another run holds the target."""
MAINTENANCE_AGAIN = timedelta(hours=1)
"""How soon at the latest a decision is repeated in a maintenance window: it may have been ended or changed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision about one episode: the reason, a sentence for people, and when to decide again.

    Without `again` a refusal is final: automation will not do it, a person is needed.
    """

    reason: Reason
    message: str
    again: timedelta | None = None

    @property
    def is_refusal(self) -> bool:
        """Whether a guard said no."""
        return self.reason not in (Reason.ALLOWED, Reason.UNDER_WAY)

    @property
    def is_final(self) -> bool:
        """Whether automation has nothing left to do for the episode."""
        return self.is_refusal and self.again is None


@dataclass(frozen=True, slots=True)
class PastRun:
    """What the guards need to know about an earlier run of the episode."""

    rule: str
    attempt: int
    status: str
    was_started: bool
    was_seen_well: bool
    """The service was verified well after it."""
    ended_at: datetime | None
    """When its verification ended, or the run if there was none; None while that is open."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one decision is made from."""

    mode: HealingMode
    rule: HealingRule | None
    service: Service | None
    opened_at: datetime
    """When the episode was opened."""
    runs: Sequence[PastRun]
    """Earlier runs of the episode."""
    target_is_busy: bool
    """Another episode's run holds the target."""
    target_ended_at: datetime | None
    """When the last run on the target ended, whatever started it."""
    parameter_fault: str | None
    now: datetime
    cover: Cover | None = None
    """The maintenance window that covers the alert now."""
    is_flapping: bool = False
    """The incident is flapping, and the policy lets nothing heal it then."""


def judge(facts: Facts) -> Verdict:
    """Decide about one open episode. The order counts: first what makes a run pointless, last what only delays it."""
    earlier = _after_earlier_runs(facts)
    if facts.cover is not None and (earlier is None or earlier.reason is not Reason.UNDER_WAY):
        return _in_maintenance(facts.cover, facts.now)
    if earlier is not None:
        return earlier
    rule, service = facts.rule, facts.service
    if rule is None:
        return Verdict(Reason.NO_RULE, "No healing rule matches the alert.")
    if service is None:
        return Verdict(Reason.NO_TARGET, "The alert names no service of the inventory, so there is nothing to run on.")
    return (
        _by_policy(facts, rule, service)
        or _by_flapping(facts)
        or _by_attempts(facts, rule)
        or _by_mode(facts, rule, service)
        or _by_target(facts, rule, service)
        or Verdict(Reason.ALLOWED, f"{rule.playbook} may run on {service.name}.")
    )


def next_attempt(facts: Facts) -> int:
    """Number of the next attempt of the rule at the episode, from 1."""
    return 1 + max((run.attempt for run in _of_rule(facts)), default=0)


def _of_rule(facts: Facts) -> list[PastRun]:
    return [run for run in facts.runs if facts.rule is not None and run.rule == facts.rule.name]


def _after_earlier_runs(facts: Facts) -> Verdict | None:
    if any(run.status in ACTIVE or (run.status == RunStatus.UNKNOWN and run.ended_at is None) for run in facts.runs):
        return Verdict(Reason.UNDER_WAY, "A run of this episode is under way.")
    seen_well = [run.ended_at for run in facts.runs if run.was_seen_well and run.ended_at is not None]
    if not seen_well:
        return None
    patience = _rest(STILL_FIRING_CHECK - (facts.now - max(seen_well)))
    if patience is not None:
        return Verdict(
            Reason.UNDER_WAY, "The service was verified well; the alert's resolve may take a while.", patience
        )
    message = "The service was verified well, but the alert still fires. Look at the alert's condition."
    return Verdict(Reason.STILL_FIRING, message)


def _in_maintenance(cover: Cover, now: datetime) -> Verdict:
    message = f"Maintenance window {cover.window} is open until {cover.until:%Y-%m-%d %H:%M} UTC."
    return Verdict(Reason.MAINTENANCE, message, again=min(cover.until - now, MAINTENANCE_AGAIN))


def _by_flapping(facts: Facts) -> Verdict | None:
    if facts.is_flapping:
        return Verdict(Reason.FLAPPING, "The alert comes and goes: another repair of the same kind would not last.")
    return None


def _by_policy(facts: Facts, rule: HealingRule, service: Service) -> Verdict | None:
    if facts.mode == "off":
        return Verdict(Reason.MODE_OFF, "Healing is switched off in the policy.")
    if service.service_recovery == "manual":
        return Verdict(Reason.MANUAL, f"{service.name} is restarted by people only (service_recovery: manual).")
    if service.service_recovery == "platform":
        message = f"{service.name} is restarted by its platform, not by IMS (service_recovery: platform)."
        patience = timedelta(seconds=rule.verify.within) - (facts.now - facts.opened_at)
        return Verdict(Reason.SELF, message, again=_rest(patience))
    if facts.parameter_fault is not None:
        return Verdict(Reason.PARAMETER, facts.parameter_fault)
    return None


def _by_attempts(facts: Facts, rule: HealingRule) -> Verdict | None:
    started = [run for run in _of_rule(facts) if run.was_started]
    if len(started) >= rule.attempts:
        return Verdict(Reason.ATTEMPTS, f"Rule {rule.name} made {len(started)} of {rule.attempts} attempts.")
    last = max(started, key=lambda run: run.attempt, default=None)
    if last is not None and last.status in (RunStatus.UNKNOWN, RunStatus.CANCELLED) and not rule.safe_to_repeat:
        message = f"Nobody knows how far the last run came, and rule {rule.name} is not declared safe to repeat."
        return Verdict(Reason.NOT_REPEATABLE, message)
    return None


def _by_mode(facts: Facts, rule: HealingRule, service: Service) -> Verdict | None:
    if facts.mode == "observe":
        return Verdict(Reason.OBSERVE, f"Observed only: {rule.playbook} would have run on {service.name}.")
    return None


def _by_target(facts: Facts, rule: HealingRule, service: Service) -> Verdict | None:
    if facts.target_is_busy:
        return Verdict(Reason.TARGET_BUSY, f"Another run is under way on {service.name}.", again=BUSY_RETRY)
    if facts.target_ended_at is None:
        return None
    rest = _rest(timedelta(seconds=rule.cooldown) - (facts.now - facts.target_ended_at))
    if rest is None:
        return None
    message = f"The last run on {service.name} ended less than {rule.cooldown:g} s ago."
    return Verdict(Reason.COOLDOWN, message, again=rest)


def _rest(left: timedelta) -> timedelta | None:
    """A time that is still to wait, None if it is over."""
    return left if left > timedelta(0) else None
