"""The statements of ingest. Each does its work for a whole batch.

Order of locks, the same in every transaction: alerts by (source, fingerprint), correlation rows by key, incidents by
id. A row that several statements could decide about is locked before it is read, and each statement sees what others
had committed when it began (READ COMMITTED), so what is read under a lock is the latest.
"""

from sqlalchemy import text

# Only now and then: otherwise every commit of every process would wait for this one row.
TOUCH_SOURCES = text(
    """
    UPDATE source SET last_notice_at = :now
    WHERE name IN (
        SELECT name FROM source
        WHERE name = ANY(:sources) AND (last_notice_at IS NULL OR last_notice_at < :now - interval '10 seconds')
        FOR NO KEY UPDATE SKIP LOCKED
    )
    """
)

# A row inserted here has no xmax; one that was there is locked by its update until the commit. Labels come as one JSON
# list: as an array of JSON each of them would be quoted once more, a third of the whole cost.
UPSERT_ALERTS = text(
    """
    INSERT INTO alert (source, fingerprint, name, service, environment, severity, labels, annotations, generator_url,
                       first_seen_at, last_seen_at)
    SELECT source, fingerprint, name, service, environment, severity, labels, annotations, generator_url, :now, :now
    FROM ROWS FROM (
        unnest(CAST(:sources AS text[]), CAST(:fingerprints AS text[]), CAST(:names AS text[]),
               CAST(:services AS text[]), CAST(:environments AS text[]), CAST(:severities AS text[]),
               CAST(:generator_urls AS text[])),
        jsonb_array_elements(CAST(:labels AS jsonb)),
        jsonb_array_elements(CAST(:annotations AS jsonb))
    ) WITH ORDINALITY AS t (source, fingerprint, name, service, environment, severity, generator_url, labels,
                            annotations, place)
    ORDER BY place
    ON CONFLICT (source, fingerprint) DO UPDATE SET
        name = excluded.name, service = excluded.service, environment = excluded.environment,
        severity = excluded.severity, labels = excluded.labels, annotations = excluded.annotations,
        generator_url = excluded.generator_url, last_seen_at = excluded.last_seen_at
    RETURNING id, source, fingerprint, xmax = 0 AS is_new
    """
)

# Of each known alert: the open episode, the newest closed one, and those closed ones that began when a notice says.
READ_EPISODES = text(
    """
    SELECT id, alert_id, incident_id, sender_starts, true AS is_open, false AS is_newest
    FROM episode WHERE alert_id = ANY(:alerts) AND closed_at IS NULL
    UNION ALL
    SELECT newest.id, known.alert_id, newest.incident_id, newest.sender_starts, false, true
    FROM unnest(CAST(:alerts AS bigint[])) AS known (alert_id)
    CROSS JOIN LATERAL (
        SELECT id, incident_id, sender_starts FROM episode
        WHERE alert_id = known.alert_id AND closed_at IS NOT NULL ORDER BY opened_at DESC, id DESC LIMIT 1
    ) AS newest
    UNION ALL
    SELECT DISTINCT episode.id, episode.alert_id, episode.incident_id, episode.sender_starts, false, false
    FROM unnest(CAST(:start_alerts AS bigint[]), CAST(:starts AS timestamptz[])) AS said (alert_id, starts_at)
    JOIN episode ON episode.alert_id = said.alert_id
    WHERE episode.closed_at IS NOT NULL AND said.starts_at = ANY(episode.sender_starts)
    """
)

LOCK_CORRELATIONS = text(
    """
    INSERT INTO correlation (key, updated_at)
    SELECT key, :now FROM unnest(CAST(:keys AS text[])) WITH ORDINALITY AS t (key, place) ORDER BY place
    ON CONFLICT (key) DO UPDATE SET updated_at = excluded.updated_at
    RETURNING key, incident_id
    """
)

# The incidents that the keys point at or that a closing episode belongs to, and every unresolved one that an alert
# opened on the services of this batch, for a worse severity may join it.
LOCK_INCIDENTS = text(
    """
    SELECT id, service, environment, severity, status, resolved_at, opened_at, correlation_key
    FROM incident
    WHERE id IN (
        SELECT unnest(CAST(:incidents AS uuid[]))
        UNION
        SELECT lesser.id
        FROM unnest(CAST(:services AS text[]), CAST(:environments AS text[])) AS t (service, environment)
        JOIN incident AS lesser ON lesser.service = t.service AND lesser.environment = t.environment
        WHERE lesser.status <> 'resolved' AND lesser.correlation_key IS NOT NULL
    )
    ORDER BY id
    FOR NO KEY UPDATE
    """
)

# The number is taken here, where the row is really new: the key's lock is held and no incident was found.
INSERT_INCIDENTS = text(
    """
    INSERT INTO incident (id, number, title, description, service, environment, severity, status, assignee, team,
                          runbook_url, labels, correlation_key, recurrence_of, opened_at, updated_at, version, last_seq)
    SELECT id, nextval('incident_number_seq'), title, description, service, environment, severity, 'open', assignee,
           team, runbook_url, labels, key, recurrence_of, :now, :now, 1, 0
    FROM (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:titles AS text[]), CAST(:descriptions AS text[]), CAST(:services AS text[]),
            CAST(:environments AS text[]), CAST(:severities AS text[]), CAST(:assignees AS text[]),
            CAST(:teams AS text[]), CAST(:runbook_urls AS text[]), CAST(:labels AS jsonb[]), CAST(:keys AS text[]),
            CAST(:recurrences AS uuid[])
        ) WITH ORDINALITY AS t (id, title, description, service, environment, severity, assignee, team, runbook_url,
                                labels, key, recurrence_of, place)
        ORDER BY place
    ) AS new
    """
)

POINT_CORRELATIONS = text(
    """
    UPDATE correlation SET incident_id = t.incident_id
    FROM unnest(CAST(:keys AS text[]), CAST(:incidents AS uuid[])) AS t (key, incident_id)
    WHERE correlation.key = t.key
    """
)

RAISE_SEVERITIES = text(
    """
    UPDATE incident SET severity = t.severity
    FROM unnest(CAST(:incidents AS uuid[]), CAST(:severities AS text[])) AS t (id, severity)
    WHERE incident.id = t.id
    """
)

# Starts come as text of an array, for arrays of arrays cannot have rows of different lengths.
UPDATE_EPISODES = text(
    """
    UPDATE episode SET
        notices = notices + t.counted,
        sender_starts = CAST(t.starts AS timestamptz[]),
        last_notice_at = CASE WHEN t.is_changed THEN :now ELSE last_notice_at END,
        closed_at = CASE WHEN t.is_open THEN NULL ELSE coalesce(closed_at, :now) END,
        sender_ends_at = coalesce(t.ends_at, sender_ends_at)
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:counted AS integer[]), CAST(:starts AS text[]), CAST(:is_changed AS boolean[]),
        CAST(:is_open AS boolean[]), CAST(:ends AS timestamptz[])
    ) AS t (id, counted, starts, is_changed, is_open, ends_at)
    WHERE episode.id = t.id
    """
)

# Ids are given in the order of the rows, so sorted ids belong to the rows as they were sent.
INSERT_EPISODES = text(
    """
    INSERT INTO episode (alert_id, incident_id, opened_at, last_notice_at, closed_at, notices, sender_starts,
                         sender_ends_at)
    SELECT alert_id, incident_id, :now, :now, CASE WHEN is_open THEN NULL ELSE CAST(:now AS timestamptz) END, counted,
           CAST(starts AS timestamptz[]), ends_at
    FROM (
        SELECT * FROM unnest(
            CAST(:alerts AS bigint[]), CAST(:incidents AS uuid[]), CAST(:counted AS integer[]),
            CAST(:starts AS text[]), CAST(:is_open AS boolean[]), CAST(:ends AS timestamptz[])
        ) WITH ORDINALITY AS t (alert_id, incident_id, counted, starts, is_open, ends_at, place)
        ORDER BY place
    ) AS new
    RETURNING id
    """
)

# Of these incidents, locked before, those whose last open episode is closed. Without a quiet time the times are not
# compared: the clock of the process that closed it may be ahead of ours.
RESOLVE_QUIET = text(
    """
    UPDATE incident SET status = 'resolved', resolved_at = greatest(:now, opened_at)
    WHERE id = ANY(CAST(:incidents AS uuid[])) AND status <> 'resolved'
      AND NOT EXISTS (SELECT 1 FROM episode WHERE incident_id = incident.id AND closed_at IS NULL)
      AND (CAST(:quiet AS double precision) = 0 OR NOT EXISTS (
            SELECT 1 FROM episode WHERE incident_id = incident.id
            AND closed_at > :now - make_interval(secs => CAST(:quiet AS double precision))))
    RETURNING id, extract(epoch FROM resolved_at - opened_at) AS seconds
    """
)

# The incidents are locked. Counting ends one above the limit, however often the alert fired.
MARK_FLAPPING = text(
    """
    UPDATE incident SET flapping_since = :now
    FROM (
        SELECT DISTINCT ON (t.incident_id) t.incident_id, t.alert_id
        FROM unnest(CAST(:alerts AS bigint[]), CAST(:incidents AS uuid[])) WITH ORDINALITY
            AS t (alert_id, incident_id, place)
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM (
                SELECT FROM episode WHERE alert_id = t.alert_id AND opened_at > :since
                LIMIT CAST(:most AS integer) + 1
            ) AS recent
        ) AS counted
        WHERE counted.n > CAST(:most AS integer)
        ORDER BY t.incident_id, t.place
    ) AS flapping
    WHERE incident.id = flapping.incident_id AND incident.flapping_since IS NULL
    RETURNING incident.id, flapping.alert_id
    """
)

INSERT_REJECTED = text(
    """
    INSERT INTO rejected_alert (source, reason, body, details, received_at)
    SELECT source, reason, body, details, :now
    FROM unnest(CAST(:sources AS text[]), CAST(:reasons AS text[]), CAST(:bodies AS text[]),
                CAST(:details AS jsonb[])) AS t (source, reason, body, details)
    """
)
