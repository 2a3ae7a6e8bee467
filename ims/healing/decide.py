"""Decide which open episodes get a run.

A decision may be repeated at any time and by any number of workers at once: incidents are locked in one order, a run is
unique by (episode, rule, attempt), a target has at most one active run, and both are indexes of the database.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ims.alerts.models import Alert, Episode
from ims.core.actors import SYSTEM, Actor, ActorKind
from ims.core.queue import Job, defer, runs_queue
from ims.healing.guards import BUSY_RETRY, Facts, PastRun, Reason, Verdict, judge, next_attempt
from ims.healing.match import ParameterUnfit, parameters_of, rule_for
from ims.healing.models import Refusal
from ims.incidents.models import EventKind, Incident, Status
from ims.incidents.transitions import NewEvent, append, need_attention
from ims.maintenance.usecases import cover_episodes
from ims.policy.queries import ActivePolicy, active_policy
from ims.policy.schema import HealingRule, Service
from ims.policy.windows import Cover
from ims.runs.models import ACTIVE, RUN_NUMBER, Run

AnyRow = Row[*tuple[Any, ...]]

NO_POLICY_RETRY = timedelta(seconds=10)
_NO_POLICY = Verdict(Reason.NO_POLICY, "No policy is active: run `ims admin policy load`.", again=NO_POLICY_RETRY)


@dataclass(slots=True)
class Decision:
    """What was decided about one open episode."""

    episode_id: int
    incident_id: UUID
    alert: str
    """Its name."""
    verdict: Verdict
    rule: HealingRule | None = None
    service: Service | None = None
    attempt: int = 1
    parameters: Mapping[str, Any] | None = None
    run_id: UUID | None = None
    number: int | None = None

    @property
    def rule_name(self) -> str:
        """Name of the rule, empty when none matched."""
        return self.rule.name if self.rule else ""


_LOCK: Final = 0x494D5344
"""Class of the advisory locks of incidents that are decided about ("IMSD")."""
# In a storm on one incident many decisions want its row, and so does each commit of the webhook, which would stand in
# line behind all of them: this way it waits for one. A few locks are enough for that, and the table of locks is small.
_ONE_DECISION_AT_A_TIME = text(
    """
    SELECT pg_advisory_xact_lock(:lock, key) FROM (
        SELECT DISTINCT hashtext(CAST(incident_id AS text)) AS key FROM episode
        WHERE id = ANY(CAST(:episodes AS bigint[])) AND closed_at IS NULL ORDER BY key LIMIT 16
    ) AS incidents
    """
)


def decide(session: Session, episode_ids: Sequence[int], now: datetime) -> list[Decision]:
    """Decide about these episodes and write what follows: runs, refusals, timelines, jobs, who is needed.

    Closed episodes, and those of resolved incidents, are passed over. An episode that cannot be decided for good
    yet (its target is busy or cools down) gets another decision later.
    """
    episodes = _open_episodes(session, episode_ids)
    if not episodes:
        return []
    active = active_policy(session)
    covers = cover_episodes(session, active.policy if active else None, episodes, now)
    if active is None:
        decisions = [Decision(row.id, row.incident_id, row.name, _NO_POLICY) for row in episodes]
    else:
        decisions = _judge_all(session, episodes, covers, active, now)
        _start_runs(session, decisions, active.digest, now)
    _record_refusals(session, decisions, now)
    _call_people(session, decisions, now)
    _decide_later(session, decisions)
    return decisions


def _open_episodes(session: Session, episode_ids: Sequence[int]) -> Sequence[AnyRow]:
    """The open ones, each with its alert; their incidents are locked, in the order in which timelines lock them.

    An incident that a person has resolved is not worked on, even while its alert fires.
    """
    session.execute(_ONE_DECISION_AT_A_TIME, {"lock": _LOCK, "episodes": list(episode_ids)})
    incidents = select(Episode.incident_id).where(Episode.id.in_(episode_ids), Episode.closed_at.is_(None))
    session.execute(select(Incident.id).where(Incident.id.in_(incidents)).order_by(Incident.id).with_for_update())
    query = (
        select(
            Episode.id,
            Episode.incident_id,
            Episode.opened_at,
            Alert.name,
            Alert.labels,
            Alert.annotations,
            Incident.maintenance,
            Incident.flapping_since,
        )
        .join(Alert, Alert.id == Episode.alert_id)
        .join(Incident, Incident.id == Episode.incident_id)
        .where(Episode.id.in_(episode_ids), Episode.closed_at.is_(None), Incident.status != Status.RESOLVED)
        .order_by(Episode.id)
    )
    return session.execute(query).all()


def _judge_all(
    session: Session, episodes: Sequence[AnyRow], covers: Mapping[int, Cover], active: ActivePolicy, now: datetime
) -> list[Decision]:
    policy = active.policy
    decisions = []
    services = {row.id: policy.service_for(row.labels) for row in episodes}
    targets = {service.name for service in services.values() if service}
    runs = _runs_of(session, [row.id for row in episodes])
    busy, ended = _busy_targets(session, targets), _ended_targets(session, targets)
    for row in episodes:
        rule, service = rule_for(policy, row.labels), services[row.id]
        parameters, fault = _parameters(rule, row)
        target = service.name if service else ""
        facts = Facts(
            mode=policy.healing_mode, rule=rule, service=service, opened_at=row.opened_at, runs=runs.get(row.id, ()),
            target_is_busy=target in busy, target_ended_at=ended.get(target), parameter_fault=fault, now=now,
            cover=covers.get(row.id),
            is_flapping=row.flapping_since is not None and not policy.correlation.flapping.heal,
        )  # fmt: skip
        verdict = judge(facts)
        if verdict.reason is Reason.ALLOWED:
            busy.add(target)
        decisions.append(
            Decision(row.id, row.incident_id, row.name, verdict, rule, service, next_attempt(facts), parameters)
        )
    return decisions


def _parameters(rule: HealingRule | None, row: AnyRow) -> tuple[dict[str, Any], str | None]:
    if rule is None:
        return {}, None
    try:
        return parameters_of(rule, row.labels, row.annotations), None
    except ParameterUnfit as unfit:
        return {}, str(unfit)


def _runs_of(session: Session, episode_ids: Sequence[int]) -> dict[int, list[PastRun]]:
    rows = session.execute(
        select(
            Run.episode_id, Run.rule, Run.attempt, Run.status, Run.started_at, Run.first_green_at, Run.verified_at
        ).where(Run.episode_id.in_(episode_ids))
    )
    found: dict[int, list[PastRun]] = {}
    for row in rows:
        past = PastRun(
            row.rule, row.attempt, row.status, row.started_at is not None, row.first_green_at is not None,
            row.verified_at,
        )  # fmt: skip
        found.setdefault(row.episode_id, []).append(past)
    return found


def _busy_targets(session: Session, targets: Iterable[str]) -> set[str]:
    query = select(Run.target).where(Run.target.in_(targets), Run.status.in_(ACTIVE))
    return set(session.scalars(query))


def _ended_targets(session: Session, targets: Iterable[str]) -> dict[str, datetime]:
    """When the last run that was started on a target ended."""
    ended = func.coalesce(Run.verified_at, Run.finished_at)
    query = (
        select(Run.target, func.max(ended))
        .where(Run.target.in_(targets), Run.started_at.is_not(None), ended.is_not(None))
        .group_by(Run.target)
    )
    return dict(iter(session.execute(query)))


def _start_runs(session: Session, decisions: Sequence[Decision], revision: str, now: datetime) -> None:
    """Queue the allowed runs; what another worker took in the meantime becomes a busy target."""
    # In the order of targets: two batches that want the same ones wait for each other instead of deadlocking.
    allowed = sorted((decision for decision in decisions if decision.verdict.reason is Reason.ALLOWED), key=_target_of)
    if not allowed:
        return
    numbers = _insert_runs(session, allowed, revision, now)
    for decision in allowed:
        if decision.run_id in numbers:
            decision.number = numbers[decision.run_id]
            defer(session, Job.EXECUTE_RUN, queue=_queue_of(decision), run_id=str(decision.run_id))
        else:
            decision.run_id = None
            message = f"Another run is under way on {_target_of(decision)}."
            decision.verdict = Verdict(Reason.TARGET_BUSY, message, again=BUSY_RETRY)
    append(session, [_allowed_event(decision) for decision in allowed if decision.run_id], now)


def _insert_runs(session: Session, allowed: Sequence[Decision], revision: str, now: datetime) -> dict[UUID | None, int]:
    rows = []
    for decision in allowed:
        assert decision.rule is not None  # noqa: S101 - nothing is allowed without a rule
        decision.run_id = uuid4()
        rows.append({
            "id": decision.run_id, "number": RUN_NUMBER.next_value(), "kind": "heal", "status": "queued",
            "incident_id": decision.incident_id, "episode_id": decision.episode_id, "rule": decision.rule_name,
            "attempt": decision.attempt, "playbook": decision.rule.playbook, "target": _target_of(decision),
            "revision": revision, "parameters": dict(decision.parameters or {}), "fence": 0, "queued_at": now,
            "recap": {},
        })  # fmt: skip
    statement = insert(Run).values(rows).on_conflict_do_nothing().returning(Run.id, Run.number)
    return dict(iter(session.execute(statement)))


def _target_of(decision: Decision) -> str:
    return decision.service.name if decision.service else ""


def _queue_of(decision: Decision) -> str | None:
    return runs_queue(decision.service.worker_pool) if decision.service else None


def _allowed_event(decision: Decision) -> NewEvent:
    assert decision.rule is not None  # noqa: S101 - nothing is allowed without a rule
    data = {
        "run_id": str(decision.run_id),
        "number": decision.number,
        "rule": decision.rule_name,
        "attempt": decision.attempt,
        "attempts": decision.rule.attempts,
        "playbook": decision.rule.playbook,
        "target": _target_of(decision),
    }
    return NewEvent(decision.incident_id, EventKind.RULE_ALLOWED, Actor(ActorKind.RULE, decision.rule_name), data)


def _record_refusals(session: Session, decisions: Sequence[Decision], now: datetime) -> None:
    """Count each no; the first of its kind in an incident becomes a line of the timeline."""
    refused = sorted(
        (decision for decision in decisions if decision.verdict.is_refusal),
        key=_refusal_key,
    )
    groups = {key: list(same) for key, same in groupby(refused, key=_refusal_key)}
    if not groups:
        return
    rows = [
        {
            "incident_id": incident_id,
            "rule": rule,
            "reason": reason,
            "first_at": now,
            "last_at": now,
            "count": len(same),
        }
        for (incident_id, rule, reason), same in groups.items()
    ]
    statement = insert(Refusal).values(rows)
    stored = session.execute(
        statement.on_conflict_do_update(
            index_elements=["incident_id", "rule", "reason"],
            set_={"last_at": now, "count": Refusal.count + statement.excluded.count},
        ).returning(Refusal.incident_id, Refusal.rule, Refusal.reason, Refusal.count.label("noes"))
    )
    counts = {(row.incident_id, row.rule, row.reason): row.noes for row in stored}
    # A row that counts no more than this batch was new. That a maintenance window is open is told already.
    first = [same[0] for key, same in groups.items() if counts[key] == len(same) and key[2] != Reason.MAINTENANCE]
    append(session, [_refused_event(decision) for decision in first], now)


def _refusal_key(decision: Decision) -> tuple[UUID, str, str]:
    return (decision.incident_id, decision.rule_name, decision.verdict.reason.value)


def _refused_event(decision: Decision) -> NewEvent:
    verdict, rule = decision.verdict, decision.rule
    data = {"reason": verdict.reason.value, "message": verdict.message, "alert": decision.alert}
    if decision.service:
        data["target"] = decision.service.name
    if rule is None:
        return NewEvent(decision.incident_id, EventKind.NO_RULE, SYSTEM, data)
    data |= {"rule": rule.name, "playbook": rule.playbook}
    return NewEvent(decision.incident_id, EventKind.RULE_REFUSED, Actor(ActorKind.RULE, rule.name), data)


def _call_people(session: Session, decisions: Sequence[Decision], now: datetime) -> None:
    """Mark the incidents for which automation has nothing left to do, once each."""
    final = {decision.incident_id: decision for decision in decisions if decision.verdict.is_final}
    # What another alert of the incident still gets from automation comes first.
    for decision in decisions:
        if not decision.verdict.is_final and decision.verdict.reason is not Reason.MAINTENANCE:
            final.pop(decision.incident_id, None)
    healing = set(session.scalars(select(Run.incident_id).where(Run.incident_id.in_(final), Run.status.in_(ACTIVE))))
    reasons = {id_: decision.verdict.message for id_, decision in final.items() if id_ not in healing}
    # The incidents are locked, and only a decision starts a run: none can have begun meanwhile.
    marked = need_attention(session, reasons, now)
    append(session, [_gave_up_event(decision) for id_, decision in final.items() if id_ in marked], now)


def _gave_up_event(decision: Decision) -> NewEvent:
    data = {
        "reason": decision.verdict.reason.value,
        "message": decision.verdict.message,
        "alert": decision.alert,
        "rule": decision.rule_name,
    }
    return NewEvent(decision.incident_id, EventKind.AUTOMATION_GAVE_UP, SYSTEM, data)


def _decide_later(session: Session, decisions: Sequence[Decision]) -> None:
    """One later job for each waiting time, in whole seconds so that a storm makes few jobs."""
    waiting: dict[int, list[int]] = {}
    for decision in decisions:
        if decision.verdict.again is not None:
            seconds = ceil(decision.verdict.again.total_seconds())
            waiting.setdefault(seconds, []).append(decision.episode_id)
    for seconds, episode_ids in waiting.items():
        defer(session, Job.DECIDE, after=timedelta(seconds=seconds), episode_ids=episode_ids)
