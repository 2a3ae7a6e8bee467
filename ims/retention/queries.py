"""The retention period, and how much retention would remove."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from ims.policy.queries import policy_in_force

# A firing alert keeps its incident, even one that a person has resolved; so does a run that has not ended.
OLD_INCIDENT = """
    incident.status = 'resolved' AND incident.resolved_at < :before
    AND NOT EXISTS (SELECT FROM timeline_event WHERE incident_id = incident.id AND at >= :before)
    AND NOT EXISTS (SELECT FROM episode WHERE incident_id = incident.id AND closed_at IS NULL)
    AND NOT EXISTS (SELECT FROM run WHERE incident_id = incident.id AND ended_at IS NULL)
"""

_EXPECTED = text(
    f"""
    WITH old AS (SELECT id FROM incident WHERE {OLD_INCIDENT})
    SELECT
        (SELECT count(*) FROM old) AS incidents,
        (SELECT count(*) FROM run WHERE incident_id IN (SELECT id FROM old)
            OR incident_id IS NULL AND ended_at < :before) AS runs,
        (SELECT count(*) FROM alert WHERE last_seen_at < :before AND NOT EXISTS (
            SELECT FROM episode WHERE alert_id = alert.id AND incident_id NOT IN (SELECT id FROM old))) AS alerts,
        (SELECT count(*) FROM dead_letter WHERE received_at < :before) AS dead_letters,
        (SELECT count(*) FROM api_token WHERE expires_at < :before) AS tokens,
        (SELECT count(*) FROM audit_entry WHERE at < :audit_before) AS audit_entries
    """  # noqa: S608 - the text is ours
)


@dataclass(frozen=True, slots=True)
class Kept:
    """The beginning of the retention periods."""

    since: datetime
    """Incidents, runs and alerts that ended before are removed."""
    audit_since: datetime
    """Entries of the audit log from before are removed."""


def expected(session: Session, kept: Kept) -> dict[str, int]:
    """How many rows of each kind are older than the retention period and would be removed."""
    moments = {"before": kept.since, "audit_before": kept.audit_since}
    return dict(session.execute(_EXPECTED, moments).mappings().one())


def oldest_kept(session: Session, now: datetime) -> Kept:
    """The beginning of the retention periods, by the policy in force."""
    retention = policy_in_force(session).retention
    return Kept(now - timedelta(days=retention.retention_days), now - timedelta(days=retention.audit_days))
