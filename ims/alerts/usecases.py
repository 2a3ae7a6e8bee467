"""Taking alerts in a transaction: what a source sent, or what could not be read when it came."""

from collections.abc import Sequence

from ims.alerts.ingest import Outcome, ingest
from ims.alerts.metrics import count_taken
from ims.alerts.notifications import AlertNotification, Rejected
from ims.core.context import Context
from ims.policy.queries import policy_in_force


def take_alerts(
    context: Context, notifications: Sequence[AlertNotification], rejected: Sequence[Rejected] = ()
) -> Outcome:
    """Take alerts by the active policy, and keep those aside that could not be read.

    Two batches can deadlock, see `is_deadlock`: whoever has the sender waiting does it once more then.
    """
    outcome = ingest(context.session, notifications, rejected, policy_in_force(context.session), context.now)
    context.after_commit(lambda: count_taken(outcome, rejected))
    return outcome
