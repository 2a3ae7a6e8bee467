"""The SQL statements of ingest. Each processes a whole batch.

Order of locks, the same in every transaction: alerts by (source, fingerprint), correlation rows by key, incidents by
id. A row on which concurrent transactions may base a decision is locked before it is read, and each statement sees what
others had committed when it began (READ COMMITTED), so values read under a lock are current.

A list is passed as one JSON text: Python encodes it in one call, but builds a PostgreSQL array element by element.

Plans are made once, perhaps while the tables are empty. `= ANY(ARRAY(…))`, a scalar subquery and a LATERAL with
OFFSET 0 leave the planner no other choice than the index; a join with a list would.
"""

from datetime import timedelta
from typing import Final

LONG_LEFT: Final = timedelta(minutes=5)
"""A notification without startsAt counts as a new firing this long after a person has resolved the alert's incident.

`TAKE_ALERTS` repeats this value in SQL."""

# At most every 10 seconds: otherwise every commit of every process would wait for this one row.
TOUCH_SOURCES: Final = """
    UPDATE source SET last_notification_at = %(now)s
    WHERE name IN (
        SELECT name FROM source
        WHERE name IN (SELECT json_array_elements_text(%(sources)s::json))
          AND (last_notification_at IS NULL OR last_notification_at < %(now)s - interval '10 seconds')
        FOR NO KEY UPDATE SKIP LOCKED
    )
    """

# Only now and then, too. What was last seen long ago is not shown.
NOTE_CLOCKS: Final = """
    UPDATE source SET clock_ahead = t.seconds, clock_ahead_at = %(now)s
    FROM json_to_recordset(%(clocks)s::json) AS t (source text, seconds double precision)
    WHERE source.name = t.source AND source.name IN (
        SELECT name FROM source
        WHERE name IN (SELECT source FROM json_to_recordset(%(clocks)s::json) AS c (source text))
          AND (clock_ahead_at IS NULL OR clock_ahead_at < %(now)s - interval '1 minute')
        FOR NO KEY UPDATE SKIP LOCKED
    )
    """

# Writes each alert as its last notification describes it. A row inserted here has no xmax; an existing one stays locked
# by its update until the commit. Most notifications are repeats: an alert that still fires, with start times that its
# open episode has already, is counted here, unless it has no startsAt and a person resolved its incident long ago. The
# statement does not see an episode opened after it began, and does not count one closed meanwhile, since PostgreSQL
# checks the row again once it has the lock: both are read later.
TAKE_ALERTS: Final = """
    WITH said AS MATERIALIZED (
        SELECT * FROM ROWS FROM (json_to_recordset(%(alerts)s::json) AS (
            source text, fingerprint text, name text, service text, environment text, severity text, labels jsonb,
            annotations jsonb, generator_url text, notifications integer, starts timestamptz[], only_fires boolean,
            is_untimed boolean
        )) WITH ORDINALITY
    ), taken AS (
        INSERT INTO alert (source, fingerprint, name, service, environment, severity, labels, annotations,
                           generator_url, first_seen_at, last_seen_at)
        SELECT source, fingerprint, name, service, environment, severity, labels, annotations, generator_url,
               %(now)s, %(now)s
        FROM said ORDER BY ordinality
        ON CONFLICT (source, fingerprint) DO UPDATE SET
            name = excluded.name, service = excluded.service, environment = excluded.environment,
            severity = excluded.severity, labels = excluded.labels, annotations = excluded.annotations,
            generator_url = excluded.generator_url, last_seen_at = excluded.last_seen_at
        RETURNING id, source, fingerprint, xmax = 0 AS is_new
    ), repeated AS (
        UPDATE episode SET notifications = episode.notifications + said.notifications, last_notification_at = %(now)s
        FROM taken JOIN said USING (source, fingerprint)
        WHERE said.only_fires AND NOT taken.is_new AND episode.alert_id = taken.id AND episode.closed_at IS NULL
          AND episode.sender_starts @> said.starts
          AND NOT (said.is_untimed AND coalesce((
                SELECT resolved_at <= %(now)s - interval '5 minutes' FROM incident
                WHERE incident.id = episode.incident_id), false))
        RETURNING episode.alert_id
    )
    SELECT id, source, fingerprint, is_new, alert_id IS NOT NULL AS is_repeated
    FROM taken LEFT JOIN repeated ON alert_id = id
    """

# For each known alert: the open episode, the newest closed one, and closed ones with a startsAt of a notification. For
# the open one also when a person has resolved its incident.
# In the order of opening: a notification duplicates the first of two episodes with the same startsAt.
READ_EPISODES: Final = """
    WITH known AS MATERIALIZED (
        SELECT value::bigint AS alert_id FROM json_array_elements_text(%(alerts)s::json)
    )
    SELECT id, alert_id, incident_id, sender_starts, true AS is_open, false AS is_newest,
           (SELECT resolved_at FROM incident WHERE incident.id = episode.incident_id) AS left_at,
           last_notification_at
    FROM episode WHERE alert_id = ANY(ARRAY(SELECT alert_id FROM known)) AND closed_at IS NULL
    UNION ALL
    SELECT newest.id, known.alert_id, newest.incident_id, newest.sender_starts, false, true, NULL, NULL
    FROM known CROSS JOIN LATERAL (
        SELECT id, incident_id, sender_starts FROM episode
        WHERE alert_id = known.alert_id AND closed_at IS NOT NULL ORDER BY opened_at DESC, id DESC LIMIT 1
    ) AS newest
    UNION ALL
    SELECT DISTINCT began.id, said.alert_id, began.incident_id, began.sender_starts, false, false,
           NULL::timestamptz, NULL::timestamptz
    FROM json_to_recordset(%(starts)s::json) AS said (alert_id bigint, starts_at timestamptz)
    CROSS JOIN LATERAL (
        SELECT id, incident_id, sender_starts FROM episode
        WHERE alert_id = said.alert_id AND closed_at IS NOT NULL AND said.starts_at = ANY(sender_starts)
        OFFSET 0
    ) AS began
    ORDER BY id
    """

LOCK_CORRELATIONS: Final = """
    INSERT INTO correlation (key, updated_at)
    SELECT key, %(now)s FROM json_array_elements_text(%(keys)s::json) WITH ORDINALITY AS t (key, place) ORDER BY place
    ON CONFLICT (key) DO UPDATE SET updated_at = excluded.updated_at
    RETURNING key, incident_id
    """

# The incidents to which the keys, locked before, point, those of closing episodes, and every unresolved one that an
# alert opened on the services of this batch, since an alert of a higher severity may join it. A limited subquery reads
# one entry of an index. For a NOT EXISTS PostgreSQL may read every open episode there is; so it is below.
LOCK_INCIDENTS: Final = """
    SELECT id, service, environment, severity, status, resolved_at, opened_at, correlation_key,
           (SELECT true FROM episode WHERE incident_id = incident.id AND closed_at IS NULL LIMIT 1) IS NULL AS is_quiet
    FROM incident
    WHERE id = ANY(ARRAY(
        SELECT value::uuid FROM json_array_elements_text(%(incidents)s::json)
        UNION
        SELECT (SELECT incident_id FROM correlation WHERE correlation.key = t.key)
        FROM json_array_elements_text(%(keys)s::json) AS t (key)
        UNION
        SELECT lesser.id
        FROM json_to_recordset(%(services)s::json) AS t (service text, environment text)
        CROSS JOIN LATERAL (
            SELECT id FROM incident
            WHERE service = t.service AND environment = t.environment
              AND status <> 'resolved' AND correlation_key IS NOT NULL
            OFFSET 0
        ) AS lesser
    ))
    ORDER BY id
    FOR NO KEY UPDATE
    """

# Allocated before they are used, since timeline events contain them: so all writes can be sent together.
TAKE_EPISODE_IDS: Final = "SELECT nextval('episode_id_seq') FROM generate_series(1, %(count)s::integer)"

POINT_CORRELATIONS: Final = """
    UPDATE correlation SET incident_id = t.incident_id
    FROM json_to_recordset(%(moved)s::json) AS t (key text, incident_id uuid)
    WHERE correlation.key = t.key
    """

# Of these incidents, locked before, those whose words are of an alert that is over while others fire: with the worst of
# these, and of equals the first. An incident that nobody's alert leads is a person's, or older than the column.
FIND_LEADS: Final = """
    SELECT incident.id, open.id, open.name, open.labels, open.annotations, incident.service, incident.title,
           incident.titled_by_person
    FROM incident CROSS JOIN LATERAL (
        SELECT alert.id, alert.name, alert.labels, alert.annotations
        FROM episode JOIN alert ON alert.id = episode.alert_id
        WHERE episode.incident_id = incident.id AND episode.closed_at IS NULL
        ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low'], alert.severity),
                 episode.opened_at, episode.id
        LIMIT 1
    ) AS open
    WHERE incident.id = ANY(ARRAY(SELECT value::uuid FROM json_array_elements_text(%(incidents)s::json)))
      AND incident.status <> 'resolved'
      AND (SELECT true FROM episode
           WHERE alert_id = incident.lead_alert_id AND incident_id = incident.id AND closed_at IS NULL LIMIT 1) IS NULL
      AND incident.lead_alert_id IS NOT NULL
    ORDER BY incident.id
    """

UPDATE_EPISODES: Final = """
    UPDATE episode SET
        notifications = notifications + t.counted,
        sender_starts = t.starts,
        last_notification_at = CASE WHEN t.is_changed THEN %(now)s ELSE last_notification_at END,
        closed_at = CASE WHEN t.is_open THEN NULL ELSE coalesce(closed_at, %(now)s) END,
        sender_ends_at = coalesce(t.ends_at, sender_ends_at)
    FROM json_to_recordset(%(episodes)s::json) AS t (
        id bigint, counted integer, starts timestamptz[], is_changed boolean, is_open boolean, ends_at timestamptz
    )
    WHERE episode.id = t.id
    """

INSERT_EPISODES: Final = """
    INSERT INTO episode (id, alert_id, incident_id, opened_at, last_notification_at, closed_at, notifications,
                         sender_starts, sender_ends_at)
    SELECT id, alert_id, incident_id, %(now)s, %(now)s, CASE WHEN NOT is_open THEN %(now)s END, counted, starts, ends_at
    FROM json_to_recordset(%(episodes)s::json) AS t (
        id bigint, alert_id bigint, incident_id uuid, counted integer, starts timestamptz[], is_open boolean,
        ends_at timestamptz
    )
    """

INSERT_REJECTED: Final = """
    WITH given AS (
        SELECT * FROM json_to_recordset(%(rejected)s::json)
            AS t (n int, source text, reason text, body text, details jsonb, occurrences bigint)
    ), recent AS (
        -- The newest of each source by its index; never more of them than count.
        SELECT s.source, r.id, r.reason
        FROM (SELECT DISTINCT source FROM given) s
        CROSS JOIN LATERAL (
            SELECT id, reason, received_at FROM dead_letter d
            WHERE d.source = s.source ORDER BY d.id DESC LIMIT %(most)s
        ) r
        WHERE r.received_at > %(since)s
    ), ranked AS (
        SELECT given.*,
            row_number() OVER (PARTITION BY source ORDER BY n) AS place,
            row_number() OVER (PARTITION BY source, reason ORDER BY n) AS place_in_reason,
            (SELECT count(*) FROM recent r WHERE r.source = given.source) AS kept,
            (SELECT max(id) FROM recent r WHERE r.source = given.source AND r.reason = given.reason) AS latest
        FROM given
    ), decided AS (
        SELECT *, kept + place <= %(most)s OR (latest IS NULL AND place_in_reason = 1) AS is_kept FROM ranked
    ), surplus AS (
        SELECT source, reason, latest, sum(occurrences)::bigint AS occurrences FROM decided WHERE NOT is_kept
        GROUP BY source, reason, latest
    ), counted AS (
        -- The last one that is kept of a reason also counts those of the reason that are not kept.
        SELECT d.source, d.reason, d.body, d.details, d.n, d.occurrences + CASE
            WHEN row_number() OVER (PARTITION BY d.source, d.reason ORDER BY d.n DESC) = 1
            THEN coalesce(s.occurrences, 0) ELSE 0 END AS occurrences
        FROM decided d LEFT JOIN surplus s ON s.source = d.source AND s.reason = d.reason
        WHERE d.is_kept
    ), inserted AS (
        INSERT INTO dead_letter (source, reason, body, details, received_at)
        SELECT source, reason, body, CASE WHEN occurrences = 1 THEN details
            ELSE details || jsonb_build_object('occurrences', occurrences) END, %(now)s
        FROM counted ORDER BY n
    )
    UPDATE dead_letter d SET details = d.details || jsonb_build_object(
        'occurrences', coalesce((d.details ->> 'occurrences')::bigint, 1) + s.occurrences, 'last_received_at', %(now)s)
    FROM surplus s
    WHERE d.id = s.latest AND NOT EXISTS (SELECT FROM counted c WHERE c.source = s.source AND c.reason = s.reason)
    """
