"""Build the spec of a healing run from its rule."""

from collections.abc import Mapping
from typing import Any

from ims.policy.schema import HealingRule, Service
from ims.runs.spec import Kind, RunSpec, VerificationSpec


def healing_spec(rule: HealingRule, service: Service, parameters: Mapping[str, Any]) -> RunSpec:
    """The spec of the run by which a rule heals a service. Once the run is queued, the rule is not read again."""
    return RunSpec(
        kind=Kind.HEAL,
        playbook=rule.playbook,
        target=service.name,
        parameters=dict(parameters),
        timeout=rule.timeout,
        pool=service.worker_pool,
        lock_keys=(service.name,),
        verification=VerificationSpec.of_window(rule.verify, service.url),
        safe_to_repeat=rule.safe_to_repeat,
    )
