"""Is an attempt left?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, Reason, Verdict, deny, run_guard
from ims.policy.schema import HealingRule, Service


def judge(facts: Facts, rule: HealingRule, _service: Service) -> Verdict:
    """Deny a run once the rule has used all its attempts. A run that never started is not an attempt."""
    started = sum(run.was_started for run in facts.runs_of_rule())
    if started >= rule.attempts:
        return deny("attempts", f"Rule {rule.name} has made {started} of {rule.attempts} attempts.")
    return PASS


GUARD: Final = run_guard(
    name="attempts",
    sentence="A rule makes at most `attempts` runs for one episode.",
    reasons=(
        Reason("attempts", "all attempts are used up", "the rule has used all its attempts at this episode", PEOPLE),
    ),
    judge=judge,
)
