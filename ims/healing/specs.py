"""From a rule that may start its playbook to the run that does it."""

from collections.abc import Mapping
from typing import Any

from ims.policy.schema import HealingRule, Service
from ims.runs.spec import Kind, RunSpec, VerificationSpec


def healing_spec(rule: HealingRule, service: Service, parameters: Mapping[str, Any]) -> RunSpec:
    """The run by which a rule heals a service. Nothing of the rule is looked at again once it is queued."""
    return RunSpec(
        kind=Kind.HEAL,
        playbook=rule.playbook,
        target=service.name,
        parameters=dict(parameters),
        timeout=rule.timeout,
        lock_keys=(service.name,),
        verification=VerificationSpec.of_window(rule.verify, service.url),
        safe_to_repeat=rule.safe_to_repeat,
    )
