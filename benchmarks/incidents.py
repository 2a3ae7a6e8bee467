"""A past of incidents, written by COPY into a migrated database: triggers, indexes and constraints as in production."""

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg

from benchmarks.installation import SERVICES, service
from ims.runs.spec import Kind, RunSpec

DAYS: Final = 90
CHUNK: Final = 20_000
ALERTS: Final = 20 * SERVICES
"""Alerts fire again and again; unresolved incidents have alerts of their own."""

COMMON, OTHER_COMMON, MIDDLING, RARE, STORM = "latency", "timeout", "certificate", "quorum", "blackout"
RARE_INCIDENTS: Final = 20
STORM_DAY: Final = 30
_PHRASES = (
    "Disk is filling up", "Memory pressure", "Queue is backing up", "Pod restarts", "Replication lag",
    "Error rate high", "Probe failed", "Clock drift", "Backup missing", "CPU throttled",
)  # fmt: skip
_VOCABULARY = [
    f"{a}{b}{c}" for a in "bdfgklmnprst" for b in ("an", "el", "or", "ut", "ish") for c in ("o", "em", "ing", "a")
]
_SEVERITIES = ("critical", "high", "medium", "low")
_ENVIRONMENTS = ("production", "staging", "test")

COLUMNS: Final = {
    "incident": "id, number, title, description, service, environment, severity, status, assignee, team, runbook_url,"
    " labels, opened_at, acknowledged_at, first_human_at, resolved_at, healed_at, attention_at, updated_at, version,"
    " last_seq",
    "episode": "id, alert_id, incident_id, opened_at, last_notification_at, closed_at, notifications, sender_starts",
    "run": "id, number, kind, status, incident_id, episode_id, rule, attempt, playbook, target, revision, spec,"
    " fence, queued_at, started_at, finished_at, ended_at, rc, recap, verification",
    "timeline_event": "incident_id, seq, at, kind, actor_kind, actor, data",
}
"""Tables in the order their rows refer to each other."""

Rows = dict[str, list[str]]


@dataclass
class Past:
    """So many incidents, spread over the days before `now`, of which one in a thousand is not over, or a hundred."""

    incidents: int
    now: datetime
    revision: str
    _random: random.Random = field(default_factory=lambda: random.Random(4))  # noqa: S311 - nothing secret

    @property
    def unresolved(self) -> int:
        """A page full of them at least, so that pages of both sizes show as much."""
        return max(100, self.incidents // 1000)

    def chunks(self) -> Iterator[Rows]:
        """The rows of all tables in COPY's text format, some incidents at a time, oldest first."""
        for first in range(1, self.incidents + 1, CHUNK):
            rows: Rows = {table: [] for table in COLUMNS}
            for number in range(first, min(first + CHUNK, self.incidents + 1)):
                self._tell(number, rows)
            yield rows

    def _title(self, number: int, day: int) -> str:
        words = [self._random.choice(_PHRASES)]
        every = self.incidents // RARE_INCIDENTS
        words += [COMMON] * (number % 5 == 0) + [OTHER_COMMON] * (number % 5 == 1)
        words += [MIDDLING] * (number % min(100, self.incidents // 50) == 5) + [RARE] * (number % every == every // 2)
        return " ".join(words + [STORM] * (day == STORM_DAY))

    def _tell(self, number: int, rows: Rows) -> None:
        """One incident, with its episode, its run if it was healed, and its timeline."""
        chance = self._random.random
        age = timedelta(days=DAYS) * ((self.incidents - number + chance()) / self.incidents)
        opened = self.now - timedelta(minutes=1) - age
        own_id = uuid.UUID(int=self._random.getrandbits(128), version=4)
        place = self.incidents - number
        is_open = place % 10 == 0 and place // 10 < self.unresolved
        name = int(SERVICES * chance() ** 2)
        severity = self._random.choices(_SEVERITIES, (3, 17, 50, 30))[0]
        environment = _ENVIRONMENTS[min(name * 7 % 20 // 16 + name * 7 % 20 // 19, 2)]
        title = f"{self._title(number, (self.now - opened).days)} on {service(name)}"
        is_healed, is_acknowledged, is_noted = not is_open and chance() < 0.4, chance() < 0.3, chance() < 0.05
        took = timedelta(seconds=min(self._random.lognormvariate(6, 1.2), 86_400))
        acknowledged, healed, resolved = opened + took * 0.2, opened + took * 0.5, opened + took
        timeline = [(opened, "incident_opened", "sender", "alertmanager", {"title": title, "severity": severity})]
        has_alert_event = number % 5 == 0
        if has_alert_event:
            timeline.append(
                (opened, "alert_firing", "sender", "alertmanager", {"alert": "Bench", "service": service(name)})
            )
        if is_acknowledged:
            timeline.append((acknowledged, "acknowledged", "person", "admin", {}))
        if is_healed and has_alert_event:
            rows["run"].append(self._run(number, own_id, name, opened, healed))
            timeline.append((opened, "run_started", "run", f"R-{number}", {"number": number, "target": service(name)}))
            timeline.append(
                (healed, "verification_passed", "run", f"R-{number}", {"number": number, "target": service(name)})
            )
        if is_noted:
            text = " ".join(self._random.choices(_VOCABULARY, k=12))
            timeline.append((acknowledged, "note", "person", "admin", {"text": text}))
        if not is_open:
            timeline.append((resolved, "resolved", "system", "ims", {}))
        # Those that are open have alerts of their own: an alert has one open episode at most.
        alert = 1 + (number % (ALERTS // 2) if not is_open else ALERTS // 2 + place // 10)
        description = " ".join(self._random.choices(_VOCABULARY, k=10)) if chance() < 0.3 else ""
        labels = {"service": service(name), "severity": severity, "environment": environment, "job": "bench"}
        status = ("acknowledged" if is_acknowledged else "open") if is_open else "resolved"
        rows["incident"].append(_line(
            own_id, number, title, description, service(name), environment, severity, status,
            "admin" if chance() < 0.1 else None, f"team-{name % 10}", None, labels, opened,
            acknowledged if is_acknowledged else None, acknowledged if is_acknowledged or is_noted else None,
            None if is_open else resolved, healed if is_healed else None, opened if is_open else None,
            resolved, len(timeline) + 1, len(timeline),
        ))  # fmt: skip
        rows["episode"].append(_line(
            number, alert, own_id, opened, opened, None if is_open else resolved, 1, f"{{{opened.isoformat()}}}"
        ))  # fmt: skip
        rows["timeline_event"] += [_line(own_id, seq, *event) for seq, event in enumerate(timeline, 1)]

    def _run(self, number: int, incident: uuid.UUID, name: int, began: datetime, ended: datetime) -> str:
        own_id = uuid.UUID(int=self._random.getrandbits(128), version=4)
        playbook = "playbooks/heal/restart_service.yml"
        spec = RunSpec(kind=Kind.HEAL, playbook=playbook, target=service(name), timeout=120, lock_keys=(service(name),))
        return _line(
            own_id, number, "heal", "succeeded", incident, number, "restart-a-dead-service", 1, playbook, service(name),
            self.revision, spec.stored(), 1, began, began, ended, ended, 0, {}, "passed",
        )  # fmt: skip


def _line(*values: object) -> str:
    """A row of COPY's text format. The texts here have nothing that would need escaping."""
    return "\t".join(
        "\\N" if value is None else json.dumps(value) if isinstance(value, dict) else str(value) for value in values
    )


def write_past(conninfo: str, incidents: int) -> None:
    """Fill the database, and bring it to where autovacuum would in time."""
    now = datetime.now(UTC)
    with psycopg.connect(conninfo) as connection:
        (revision,) = connection.execute("SELECT digest FROM policy_snapshot").fetchone() or ("",)
        past = Past(incidents, now, revision)
        connection.execute(
            "INSERT INTO alert (id, source, fingerprint, name, service, environment, severity, labels, annotations,"
            " first_seen_at, last_seen_at) SELECT n, 'alertmanager', 'bench-' || n, 'Bench', 'bench-00', 'production',"
            " 'high', '{}', '{}', %s, %s FROM generate_series(1, %s) AS n",
            [now, now, ALERTS + past.unresolved],
        )
        for rows in past.chunks():
            for table, columns in COLUMNS.items():
                with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    copy.write("\n".join([*rows[table], ""]))
            connection.commit()
        for sequence in ("incident_number_seq", "run_number_seq", "alert_id_seq", "episode_id_seq"):
            connection.execute("SELECT setval(%s::regclass, %s)", [sequence, incidents + ALERTS])
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
