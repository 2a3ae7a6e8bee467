"""May IMS restart the service?"""

from typing import Final

from ims.healing.guards.facts import Facts
from ims.healing.guards.verdict import PASS, PEOPLE, Reason, Verdict, deny, left_of, run_guard, wait
from ims.policy.schema import HealingRule, Service

PLATFORM_MANAGED: Final = "platform_managed"


def judge(facts: Facts, rule: HealingRule, service: Service) -> Verdict:
    """Deny runs on services that people or a platform restart; a platform gets as long as a verification would take."""
    if service.service_recovery == "manual":
        return deny("manual", f"{service.name} is restarted by people only (service_recovery: manual).")
    if service.service_recovery == "platform":
        message = f"{service.name} is restarted by its platform, not by IMS (service_recovery: platform)."
        patience = left_of(rule.verify.within, facts.now - facts.opened_at)
        return wait(PLATFORM_MANAGED, message, patience) if patience else deny(PLATFORM_MANAGED, message)
    return PASS


GUARD: Final = run_guard(
    name="recovery",
    sentence="IMS only heals services with `service_recovery: ims`. A worker cannot heal what it depends on itself.",
    reasons=(
        Reason("manual", "only people restart this service", "`service_recovery: manual`: people restart it", PEOPLE),
        Reason(
            PLATFORM_MANAGED,
            "its platform restarts this service",
            "`service_recovery: platform`: its supervisor restarts it",
            f"{PEOPLE} if the alert still fires `within` seconds after it began",
        ),
    ),
    judge=judge,
)
