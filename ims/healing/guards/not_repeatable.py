"""May a run follow one that was cut short?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, Reason, Verdict, deny, run_guard
from ims.policy.schema import HealingRule, Service
from ims.runs.models import RunOutcome


def judge(facts: Facts, rule: HealingRule, _service: Service) -> Verdict:
    """Deny a repetition unless the rule declares it safe: a module may still be running on the remote host.

    What a run did that was stopped between two tasks, or before the first one, is known.
    """
    started = [run for run in facts.runs_of_rule() if run.was_started]
    last = max(started, key=lambda run: run.attempt, default=None)
    # An unknown one always counts: a worker of an earlier version does not write that it was cut short.
    if last is None or rule.safe_to_repeat or not (last.cut_short or last.outcome == RunOutcome.UNKNOWN):
        return PASS
    message = f"How far the last run got is unknown, and rule {rule.name} is not declared safe to repeat."
    return deny("not_repeatable", message)


GUARD: Final = run_guard(
    name="not_repeatable",
    sentence="After a run that was cut short another one starts only if the rule says `safe_to_repeat`.",
    reasons=(
        Reason(
            "not_repeatable",
            "how far the last run got is unknown, and it may not be repeated",
            "the last run was cancelled or lost, how far it got is unknown, and the rule does not say `safe_to_repeat`",
            PEOPLE,
        ),
    ),
    judge=judge,
)
