"""Rollups: daily statistics of incidents. Changes are added up once; a query adds those that are still pending.

Each change of a counted field writes a row into `incident_change` in its own transaction, by a trigger. A worker takes
such rows, adds them to `incident_daily`, and deletes them, all in one statement. So the sum of both tables is exact at
any moment, for any reader, however late transactions commit and whether a worker runs or not: without a worker, queries
only get slower. A change subtracts the former values, so a severity that is raised later counts under the new one, on
the day on which the incident was opened.

Durations are counted in logarithmic buckets, which can be added up: a bucket gives a duration within 5 %.
"""

import math
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

RELATIVE_ERROR: Final = 0.05
"""Largest relative error of a percentile. As in DDSketch, Masson, Rim and Lee, VLDB 2019."""
_GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
SHORTEST: Final = 0.001
"""Seconds; a shorter duration counts as this."""

CHANGES_A_STEP: Final = 20_000
"""A second or two of work; a day's rows are then written once or twice, however many changes are pending."""
_LOCK: Final = 4_172_027

# One row for each fact (opened, acknowledged, …), from rows of incident_change. A person's first action counts as an
# acknowledgement until somebody acknowledges, but not after the incident is resolved. Clocks of several machines
# differ: a negative duration counts as 0.
_FACTS: Final = f"""
    SELECT coalesce(service, '') AS service, environment, coalesce(team, '') AS team, severity, metric,
        (at AT TIME ZONE 'UTC')::date AS day, CASE kind WHEN 'was' THEN -1::bigint ELSE 1 END AS n, seconds,
        CASE WHEN metric NOT IN ('opened', 'removed') THEN
            ceil(ln(greatest(seconds, {SHORTEST})::double precision) / {math.log(_GAMMA)!r})::smallint
        END AS bucket
    FROM {{changes}} AS change
    CROSS JOIN LATERAL (
        SELECT 'opened' AS metric, opened_at AS at WHERE kind <> 'removed'
        UNION ALL SELECT 'removed', opened_at WHERE kind = 'removed'
        UNION ALL SELECT 'acknowledged', coalesce(
            acknowledged_at, CASE WHEN first_human_at <= coalesce(resolved_at, 'infinity') THEN first_human_at END
        ) WHERE kind <> 'removed'
        UNION ALL SELECT 'resolved', resolved_at WHERE kind <> 'removed'
        UNION ALL SELECT 'healed', healed_at WHERE kind <> 'removed'
    ) AS fact
    CROSS JOIN LATERAL (SELECT greatest(extract(epoch FROM at - opened_at), 0) AS seconds) AS took
    WHERE at IS NOT NULL
"""  # noqa: S608 - the text is ours

PENDING_FACTS: Final = _FACTS.format(changes="incident_change")
"""Facts that are not in `incident_daily` yet: SQL for a subquery."""

_TRY_LOCK: Final = text(f"SELECT pg_try_advisory_xact_lock({_LOCK})")

# Groups by bucket first, for every scope, and then aggregates the buckets of a key into its arrays.
_ROLL_UP: Final = text(
    f"""
    WITH taken AS (
        DELETE FROM incident_change
        WHERE id = ANY(ARRAY(SELECT id FROM incident_change ORDER BY id LIMIT :limit))
        RETURNING *
    ), fact AS ({_FACTS.format(changes="taken")}),
    by_bucket AS (
        SELECT CASE GROUPING(service, environment, team) WHEN 7 THEN 'all' WHEN 3 THEN 'service'
                    WHEN 5 THEN 'environment' WHEN 6 THEN 'team' WHEN 4 THEN 'owner' ELSE 'exact' END AS scope,
            coalesce(service, '') AS service, coalesce(environment, '') AS environment, coalesce(team, '') AS team,
            CASE GROUPING(day) WHEN 0 THEN 1 ELSE 7 END AS days, coalesce(day, week) AS day, metric,
            coalesce(severity, '*') AS severity, bucket, sum(n) AS n, sum(n * seconds) AS seconds
        FROM (SELECT *, date_trunc('week', day::timestamp)::date AS week FROM fact) AS dated
        GROUP BY metric, bucket, GROUPING SETS (day, week), GROUPING SETS (
            (), severity, service, (service, severity), environment, (environment, severity), team, (team, severity),
            (team, environment), (team, environment, severity), (service, environment, team, severity)
        )
    ), added AS (
        INSERT INTO incident_daily AS daily (scope, service, environment, team, days, day, metric, severity,
                                             incidents, seconds, buckets, counts)
        SELECT scope, service, environment, team, days, day, metric, severity, sum(n), sum(seconds),
            coalesce(array_agg(bucket ORDER BY bucket) FILTER (WHERE bucket IS NOT NULL), '{{}}'),
            coalesce(array_agg(n ORDER BY bucket) FILTER (WHERE bucket IS NOT NULL), '{{}}')
        FROM by_bucket
        GROUP BY scope, service, environment, team, days, day, metric, severity
        ON CONFLICT (scope, service, environment, team, days, day, metric, severity) DO UPDATE SET
            incidents = daily.incidents + excluded.incidents,
            seconds = daily.seconds + excluded.seconds,
            (buckets, counts) = (
                SELECT coalesce(array_agg(bucket ORDER BY bucket), '{{}}'),
                       coalesce(array_agg(n ORDER BY bucket), '{{}}')
                FROM (
                    SELECT bucket, sum(n) AS n
                    FROM (
                        SELECT unnest(daily.buckets) AS bucket, unnest(daily.counts) AS n
                        UNION ALL SELECT unnest(excluded.buckets), unnest(excluded.counts)
                    ) AS both_sides
                    GROUP BY bucket HAVING sum(n) <> 0
                ) AS merged
            )
    )
    SELECT count(*) FROM taken
    """  # noqa: S608 - the text is ours
)


def duration_of(bucket: int) -> float:
    """Seconds; every duration in the bucket is within `RELATIVE_ERROR` of it."""
    return 2 * math.pow(_GAMMA, bucket) / (_GAMMA + 1)


def roll_up(session: Session, limit: int = CHANGES_A_STEP) -> int:
    """Add up to `limit` changes to the daily statistics. Returns how many; 0 while another process does the same.

    One process at a time: two would wait for each other's rows in different orders.
    """
    if not session.scalar(_TRY_LOCK):
        return 0
    return int(session.execute(_ROLL_UP, {"limit": limit}).scalar_one())
