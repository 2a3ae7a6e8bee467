"""What retention would remove."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from ims.alerts.queries import policy_in_force

# What still fires keeps its incident, even one that a person has resolved; so does a run that is not over.
OLD_INCIDENT = """
    incident.status = 'resolved' AND incident.resolved_at < :before
    AND NOT EXISTS (SELECT FROM timeline_event WHERE incident_id = incident.id AND at >= :before)
    AND NOT EXISTS (SELECT FROM episode WHERE incident_id = incident.id AND closed_at IS NULL)
    AND NOT EXISTS (SELECT FROM run WHERE incident_id = incident.id AND status IN ('queued', 'running', 'verifying'))
"""

_EXPECTED = text(
    f"""
    WITH old AS (SELECT id FROM incident WHERE {OLD_INCIDENT})
    SELECT
        (SELECT count(*) FROM old) AS incidents,
        (SELECT count(*) FROM run WHERE incident_id IN (SELECT id FROM old)
            OR incident_id IS NULL AND finished_at < :before) AS runs,
        (SELECT count(*) FROM alert WHERE last_seen_at < :before AND NOT EXISTS (
            SELECT FROM episode WHERE alert_id = alert.id AND incident_id NOT IN (SELECT id FROM old))) AS alerts,
        (SELECT count(*) FROM rejected_alert WHERE received_at < :before) AS rejected_alerts,
        (SELECT count(*) FROM api_token WHERE expires_at < :before) AS tokens
    """  # noqa: S608 - the text is ours
)


def expected(session: Session, before: datetime) -> dict[str, int]:
    """How much of each kind is older than `before` and would go."""
    return dict(session.execute(_EXPECTED, {"before": before}).mappings().one())


def oldest_kept(session: Session, now: datetime) -> datetime:
    """What ended before this goes, as the policy in force says."""
    return now - timedelta(days=policy_in_force(session).retention.retention_days)
