"""Ingest alerts in a transaction: those that a source sent, or dead letters that are retried."""

from collections.abc import Sequence

from ims.alerts.ingest import Outcome, ingest
from ims.alerts.metrics import count_taken
from ims.alerts.notifications import AlertNotification, Rejected
from ims.core.context import Context
from ims.policy.queries import policy_in_force


def take_alerts(
    context: Context, notifications: Sequence[AlertNotification], rejected: Sequence[Rejected] = ()
) -> Outcome:
    """Ingest alerts by the active policy, and store rejected ones as dead letters.

    Two batches can deadlock, see `is_deadlock`: a caller whose sender waits then repeats the batch once.
    """
    outcome = ingest(context.session, notifications, rejected, policy_in_force(context.session), context.now)
    context.after_commit(lambda: count_taken(outcome, rejected))
    return outcome
