"""Reading at a million incidents: an index for each filter, words of titles, descriptions and notes, daily figures.

Both the words and the changes that the daily figures are made of are kept by triggers: ingest writes incidents with
statements of its own, and whatever else writes one cannot forget it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003_scale"
down_revision = "0002_accounts"

_NEWEST: sa.ColumnElement[str] = sa.literal_column("opened_at DESC")


def upgrade() -> None:
    _index_filters()
    _keep_words()
    _keep_changes()


def _index_filters() -> None:
    """Every filter of the list has its rows in the list's order. What follows the order is compared in the index."""
    op.create_index(
        "ix_incident_unresolved", "incident", [_NEWEST, "id"], postgresql_where=sa.text("status <> 'resolved'")
    )
    op.create_index(
        "ix_incident_service_list",
        "incident",
        ["service", _NEWEST, "id", "severity", "environment"],
        postgresql_where=sa.text("service IS NOT NULL"),
    )
    op.create_index("ix_incident_environment", "incident", ["environment", _NEWEST, "id", "severity"])
    op.create_index("ix_incident_severity", "incident", ["severity", _NEWEST, "id", "environment"])
    op.create_index(
        "ix_incident_assignee",
        "incident",
        ["assignee", _NEWEST, "id", "severity", "environment"],
        postgresql_where=sa.text("assignee IS NOT NULL"),
    )
    op.create_index(
        "ix_incident_team",
        "incident",
        ["team", _NEWEST, "id", "severity", "environment"],
        postgresql_where=sa.text("team IS NOT NULL"),
    )


def _keep_words() -> None:
    """What is searched. A lexeme is the day the incident was opened on, a slash, and a word: 20780/disk.

    A search for words then reads only the days it needs, newest first, however common a word is; see
    ims/incidents/words.py. Days are counted from 1970 in UTC. The text search configurations are not used: they know
    file names, hosts and numbers with an exponent, and nobody can tell which part of those a prefix would find.
    """
    op.execute(_SEARCHABLE_WORDS)
    op.execute(_DAY_NUMBER)
    op.execute(_WORDS_QUERY)
    op.execute(_INCIDENT_WORDS)
    op.execute(_NOTE_WORDS)
    op.add_column("incident", sa.Column("words", postgresql.TSVECTOR()))
    op.execute(_INCIDENTS_WITH)
    op.execute(_TRIGGERS)
    # Each incident that is there gets its words by the trigger, notes included.
    op.execute("UPDATE incident SET title = title")
    op.alter_column("incident", "words", nullable=False)
    # Rows wait in the index's list of pending ones only up to a size that a search reads in no time.
    op.create_index(
        "ix_incident_words", "incident", ["words"], postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
    )  # fmt: skip


# A word is a run of anything but ASCII punctuation, blanks, and the punctuation of other blocks of Unicode (no-break
# space to ¿ without ª ² ³ µ ¹ º ¼ ½ ¾; U+2000 to U+206F; CJK). Ranges mean code points in every locale, which
# classes like [:alnum:] do not. A word counts by its first 40 characters, a text by its first 20,000, so that the
# vector stays below what PostgreSQL can hold.
_SEARCHABLE_WORDS = r"""
    CREATE FUNCTION searchable_words(given text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
        SELECT ARRAY(
            SELECT left(word, 40)
            FROM regexp_split_to_table(
                lower(left(given, 20000)),
                '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf'
                '\u2000-\u206f\u3000-\u303f]+'
            ) AS word
            WHERE word <> ''
        )
    $$
"""

_DAY_NUMBER = """
    CREATE FUNCTION day_number(at timestamptz) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (at AT TIME ZONE 'UTC')::date - date '1970-01-01'
"""

# All words, each as the beginning of one, of an incident opened on one of these days. Words of searchable_words hold
# no quote and no backslash, which is all that could end them early. None without words: nothing is found.
_WORDS_QUERY = """
    CREATE FUNCTION words_query(wanted text[], first_day integer, last_day integer) RETURNS tsquery
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (
        SELECT string_agg(of_day.query, ' | ')::tsquery
        FROM generate_series(first_day, last_day) AS day
        CROSS JOIN LATERAL (
            SELECT '(' || string_agg('''' || day || '/' || word || ''':*', ' & ') || ')' AS query
            FROM unnest(wanted) AS word
        ) AS of_day
    )
"""

# A changed title or description: its words are found anew, and those of the notes with them. An incident keeps its
# first 5,000 words.
_INCIDENT_WORDS = """
    CREATE FUNCTION keep_incident_words() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        day text := public.day_number(NEW.opened_at) || '/';
        note text;
    BEGIN
        NEW.words := array_to_tsvector(ARRAY(
            SELECT day || word FROM unnest(public.searchable_words(NEW.title || ' ' || NEW.description)) AS word
        ));
        IF TG_OP = 'UPDATE' THEN
            FOR note IN
                SELECT concat_ws(' ', data ->> 'text', data ->> 'note') FROM public.timeline_event
                WHERE incident_id = NEW.id AND (kind = 'note' OR kind = 'resolved' AND data ? 'note') ORDER BY seq
            LOOP
                EXIT WHEN length(NEW.words) > 5000;
                NEW.words := NEW.words || array_to_tsvector(ARRAY(
                    SELECT day || word FROM unnest(public.searchable_words(note)) AS word
                ));
            END LOOP;
        END IF;
        RETURN NEW;
    END
    $$
"""

# A note, or what was said on resolving. The incident is locked by whoever appends to its timeline.
_NOTE_WORDS = """
    CREATE FUNCTION keep_note_words() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        UPDATE public.incident
        SET words = words || array_to_tsvector(ARRAY(
            SELECT public.day_number(opened_at) || '/' || word
            FROM unnest(public.searchable_words(concat_ws(' ', NEW.data ->> 'text', NEW.data ->> 'note'))) AS word
        ))
        WHERE id = NEW.incident_id AND length(words) <= 5000;
        RETURN NULL;
    END
    $$
"""

_TRIGGERS = """
    CREATE TRIGGER incident_words BEFORE INSERT OR UPDATE OF title, description, opened_at ON incident
    FOR EACH ROW EXECUTE FUNCTION keep_incident_words();
    CREATE TRIGGER note_words AFTER INSERT ON timeline_event
    FOR EACH ROW WHEN (NEW.kind = 'note' OR NEW.kind = 'resolved' AND NEW.data ? 'note')
    EXECUTE FUNCTION keep_note_words();
"""

# The incidents of some days that have all the words, by the index on words and nothing else: the planner knows how
# often a word occurs, but not on which days, and would rather read a million rows in order than trust a rare word. Of
# four days at once, for each row that has one of the words is held against the whole query: a long query makes common
# words slow, a short one a long search for a rare word.
_INCIDENTS_WITH = """
    CREATE FUNCTION incidents_with(wanted text[], first_day integer, last_day integer) RETURNS SETOF incident
    LANGUAGE sql STABLE STRICT
    SET search_path = public, pg_temp SET enable_seqscan = off SET enable_indexscan = off
    AS $$
        SELECT incident.*
        FROM generate_series(first_day, last_day, 4) AS day
        CROSS JOIN LATERAL (SELECT words_query(wanted, day, least(day + 3, last_day)) AS query OFFSET 0) AS of_days
        JOIN incident ON incident.words @@ of_days.query
    $$
"""


def _keep_changes() -> None:
    """Daily figures, and the queue of changes they are made of; see ims/incidents/rollups.py."""
    op.create_table(
        "incident_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("service", sa.String(), nullable=True),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("team", sa.String(), nullable=True),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_human_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("healed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('became', 'was', 'removed')", name=op.f("ck_incident_change_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_change")),
    )
    op.create_table(
        "incident_daily",
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("days", sa.SmallInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("metric", sa.String(length=16), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("incidents", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Numeric(), nullable=False),
        sa.Column("buckets", postgresql.ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("counts", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint(
            "scope",
            "service",
            "environment",
            "team",
            "days",
            "day",
            "metric",
            "severity",
            name=op.f("pk_incident_daily"),
        ),
    )
    op.execute(_RECORD_CHANGE)
    op.execute(_CHANGE_TRIGGERS)
    # What is there is counted by a worker, in steps; until then each reading counts it.
    op.execute(
        """
        INSERT INTO incident_change (kind, service, environment, team, severity, opened_at, acknowledged_at,
                                     first_human_at, resolved_at, healed_at)
        SELECT 'became', service, environment, team, severity, opened_at, acknowledged_at, first_human_at, resolved_at,
               healed_at
        FROM incident
        """
    )


# What a row was is taken back and what it became is added, so figures follow whatever changes and never count twice.
_RECORD_CHANGE = """
    CREATE FUNCTION record_incident_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO public.incident_change (kind, service, environment, team, severity, opened_at, acknowledged_at,
                                                first_human_at, resolved_at, healed_at)
            VALUES (CASE TG_OP WHEN 'DELETE' THEN 'removed' ELSE 'was' END, OLD.service, OLD.environment, OLD.team,
                    OLD.severity, OLD.opened_at, OLD.acknowledged_at, OLD.first_human_at, OLD.resolved_at,
                    OLD.healed_at);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO public.incident_change (kind, service, environment, team, severity, opened_at, acknowledged_at,
                                                first_human_at, resolved_at, healed_at)
            VALUES ('became', NEW.service, NEW.environment, NEW.team, NEW.severity, NEW.opened_at, NEW.acknowledged_at,
                    NEW.first_human_at, NEW.resolved_at, NEW.healed_at);
        END IF;
        RETURN NULL;
    END
    $$
"""

# Most updates of an incident only count its events: those do not even reach the function.
_CHANGE_TRIGGERS = """
    CREATE TRIGGER incident_recorded AFTER INSERT OR DELETE ON incident
    FOR EACH ROW EXECUTE FUNCTION record_incident_change();
    CREATE TRIGGER incident_change_recorded
    AFTER UPDATE OF service, environment, team, severity, opened_at, acknowledged_at, first_human_at, resolved_at,
                    healed_at ON incident
    FOR EACH ROW
    WHEN ((OLD.service, OLD.environment, OLD.team, OLD.severity, OLD.opened_at, OLD.acknowledged_at,
           OLD.first_human_at, OLD.resolved_at, OLD.healed_at)
          IS DISTINCT FROM
          (NEW.service, NEW.environment, NEW.team, NEW.severity, NEW.opened_at, NEW.acknowledged_at,
           NEW.first_human_at, NEW.resolved_at, NEW.healed_at))
    EXECUTE FUNCTION record_incident_change();
"""
