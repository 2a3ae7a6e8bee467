"""Decide which open episodes get a run.

Any number of workers may repeat a decision at any time: incidents are locked in one order, a run is unique by (episode,
rule, attempt), and a target has at most one active run; unique indexes of the database enforce both.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Row, func, select, text
from sqlalchemy.orm import Session

from ims.alerts.models import Alert, Episode
from ims.core.actors import SYSTEM, Actor, ActorKind
from ims.core.queue import Job, defer
from ims.healing.guards import conclude, evaluate, phrase_of
from ims.healing.guards.facts import Facts, PastRun, next_attempt
from ims.healing.guards.maintenance import MAINTENANCE
from ims.healing.guards.target_busy import busy
from ims.healing.match import ParameterUnfit, parameters_of, rule_for
from ims.healing.records import Decided, keep
from ims.healing.specs import healing_spec
from ims.incidents.models import EventKind, Incident, Status
from ims.incidents.transitions import NewEvent, append, need_attention
from ims.maintenance.usecases import cover_episodes
from ims.policy.queries import ActivePolicy, active_policy
from ims.policy.schema import HealingRule, Policy
from ims.policy.windows import Cover
from ims.runs.models import ACTIVE, Run, VerificationStatus
from ims.runs.usecases import NewRun, queue_runs

AnyRow = Row[*tuple[Any, ...]]

_LOCK: Final = 0x494D5344
"""Class of the advisory locks of incidents with a decision in progress ("IMSD")."""
# In a storm on one incident many decisions want to lock its row, and each commit of the webhook would queue behind all
# of them. With this lock it waits for one decision only. A few locks are enough, and PostgreSQL's lock table is small.
_ONE_DECISION_AT_A_TIME = text(
    """
    SELECT pg_advisory_xact_lock(:lock, key) FROM (
        SELECT DISTINCT hashtext(CAST(incident_id AS text)) AS key FROM episode
        WHERE id = ANY(CAST(:episodes AS bigint[])) AND closed_at IS NULL ORDER BY key LIMIT 16
    ) AS incidents
    """
)


def decide(session: Session, episode_ids: Sequence[int], now: datetime) -> list[Decided]:
    """Decide about these episodes and write the results: decisions, runs, timeline events, jobs, attention marks.

    Closed episodes and episodes of resolved incidents are skipped. An episode that has to wait (its target is busy or
    cooling down) gets another decision later.
    """
    episodes = _open_episodes(session, episode_ids)
    if not episodes:
        return []
    active = active_policy(session)
    covers = cover_episodes(session, active.policy if active else None, episodes, now)
    decisions = _judge_all(session, episodes, covers, active, now)
    _start_runs(session, decisions, now)
    keep(session, decisions, now)
    append(session, _events(decisions), now)
    _mark_for_attention(session, decisions, now)
    _decide_later(session, decisions)
    return decisions


def _open_episodes(session: Session, episode_ids: Sequence[int]) -> Sequence[AnyRow]:
    """The open episodes, each with its alert. Locks their incidents in the same order as writing to timelines does.

    Automation does not work on an incident that a person has resolved, even while its alert fires.
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
    session: Session,
    episodes: Sequence[AnyRow],
    covers: Mapping[int, Cover],
    active: ActivePolicy | None,
    now: datetime,
) -> list[Decided]:
    policy = active.policy if active else Policy(inventory="")
    services = {row.id: policy.service_for(row.labels) for row in episodes}
    targets = {service.name for service in services.values() if service}
    runs = _runs_of(session, [row.id for row in episodes])
    busy_targets, ended = _busy_targets(session, targets), _ended_targets(session, targets)
    decisions = []
    for row in episodes:
        rule, service = rule_for(policy, row.labels), services[row.id]
        parameters, fault = _parameters(rule, row)
        target = service.name if service else ""
        facts = Facts(
            mode=policy.healing_mode if active else None, rule=rule, service=service, opened_at=row.opened_at,
            runs=runs.get(row.id, ()), target_is_busy=target in busy_targets, target_ended_at=ended.get(target),
            parameter_fault=fault, now=now, cover=covers.get(row.id),
            is_flapping=row.flapping_since is not None and not policy.correlation.flapping.heal,
        )  # fmt: skip
        answers = evaluate(facts)
        verdict = conclude(answers, facts)
        if verdict.is_allowed:
            busy_targets.add(target)
        decisions.append(
            Decided(
                row.id, row.incident_id, row.name, facts, answers, verdict, attempt=next_attempt(facts),
                revision=active.digest if active else "", parameters=parameters,
            )
        )  # fmt: skip
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
            Run.episode_id, Run.rule, Run.attempt, Run.outcome, Run.started_at, Run.verification, Run.ended_at,
            Run.cut_short,
        ).where(Run.episode_id.in_(episode_ids)).order_by(Run.number)
    )  # fmt: skip
    found: dict[int, list[PastRun]] = {}
    for row in rows:
        is_healthy = row.verification == VerificationStatus.PASSED
        past = PastRun(
            row.rule or "", row.attempt, row.outcome, row.started_at is not None, is_healthy, row.ended_at,
            row.cut_short,
        )  # fmt: skip
        found.setdefault(row.episode_id, []).append(past)
    return found


def _busy_targets(session: Session, targets: Iterable[str]) -> set[str]:
    query = select(Run.target).where(Run.target.in_(targets), Run.outcome.in_(ACTIVE))
    return set(session.scalars(query))


def _ended_targets(session: Session, targets: Iterable[str]) -> dict[str, datetime]:
    """For each target, when the last run that was started on it ended."""
    ended = func.coalesce(Run.ended_at, Run.finished_at)
    query = (
        select(Run.target, func.max(ended))
        .where(Run.target.in_(targets), Run.started_at.is_not(None), ended.is_not(None))
        .group_by(Run.target)
    )
    return dict(iter(session.execute(query)))


def _start_runs(session: Session, decisions: Sequence[Decided], now: datetime) -> None:
    """Queue the allowed runs. If another worker has queued one for the target meanwhile, the target is busy."""
    allowed = [decided for decided in decisions if decided.verdict.is_allowed]
    for decided in allowed:
        decided.run_id = uuid4()
    numbers = queue_runs(session, [_run(decided) for decided in allowed], now)
    for decided in allowed:
        assert decided.run_id is not None  # noqa: S101 - set above
        decided.number = numbers.get(decided.run_id)
        if decided.number is None:
            decided.run_id = None
            taken = busy(decided.service.name if decided.service else "")
            decided.verdict, decided.answers = taken, {**decided.answers, "target_busy": taken}


def _run(decided: Decided) -> NewRun:
    assert decided.run_id and decided.rule and decided.service  # noqa: S101, PT018 - nothing is allowed without them
    return NewRun(
        run_id=decided.run_id,
        spec=healing_spec(decided.rule, decided.service, decided.parameters),
        revision=decided.revision,
        incident_id=decided.incident_id,
        episode_id=decided.episode_id,
        rule=decided.rule.name,
        attempt=decided.attempt,
    )


def _events(decisions: Sequence[Decided]) -> list[NewEvent]:
    """One event for each run, and one for the first denial of each kind in an incident: a storm adds a single line."""
    events = [_allowed_event(decided) for decided in decisions if decided.run_id]
    # The timeline has an event for the maintenance window already.
    denials = [
        decided
        for decided in decisions
        if decided.verdict.is_denial and decided.is_first and decided.verdict.reason != MAINTENANCE
    ]
    firsts = {decided.kind: decided for decided in reversed(denials)}
    return events + [_denied_event(decided) for decided in denials if firsts[decided.kind] is decided]


def _allowed_event(decided: Decided) -> NewEvent:
    rule, service = decided.rule, decided.service
    assert rule and service  # noqa: S101, PT018 - nothing is allowed without them
    data = {
        "run_id": str(decided.run_id),
        "number": decided.number,
        "rule": rule.name,
        "attempt": decided.attempt,
        "attempts": rule.attempts,
        "playbook": rule.playbook,
        "target": service.name,
    }
    return NewEvent(decided.incident_id, EventKind.RULE_ALLOWED, Actor(ActorKind.RULE, rule.name), data)


def _denied_event(decided: Decided) -> NewEvent:
    verdict, rule = decided.verdict, decided.rule
    data = {
        "reason": verdict.reason,
        "words": phrase_of(verdict.reason),
        "message": verdict.message,
        "alert": decided.alert,
    }
    if decided.service:
        data["target"] = decided.service.name
    if rule is None:
        return NewEvent(decided.incident_id, EventKind.NO_RULE, SYSTEM, data)
    data |= {"rule": rule.name, "playbook": rule.playbook}
    return NewEvent(decided.incident_id, EventKind.RULE_DENIED, Actor(ActorKind.RULE, rule.name), data)


def _mark_for_attention(session: Session, decisions: Sequence[Decided], now: datetime) -> None:
    """Mark the incidents for which automation has nothing left to do as needing attention, once each."""
    final = {decision.incident_id: decision for decision in decisions if decision.verdict.is_final}
    # Not while automation may still do something for another alert of the incident.
    for decision in decisions:
        if not decision.verdict.is_final and decision.verdict.reason != MAINTENANCE:
            final.pop(decision.incident_id, None)
    healing = set(session.scalars(select(Run.incident_id).where(Run.incident_id.in_(final), Run.outcome.in_(ACTIVE))))
    reasons = {id_: decision.verdict.message for id_, decision in final.items() if id_ not in healing}
    # The incidents are locked, and only a decision starts a run: no run can have been queued meanwhile.
    marked = need_attention(session, reasons, now)
    append(session, [_gave_up_event(decision) for id_, decision in final.items() if id_ in marked], now)


def _gave_up_event(decision: Decided) -> NewEvent:
    data = {
        "reason": decision.verdict.reason,
        "message": decision.verdict.message,
        "alert": decision.alert,
        "rule": decision.rule_name,
    }
    return NewEvent(decision.incident_id, EventKind.AUTOMATION_GAVE_UP, SYSTEM, data)


def _decide_later(session: Session, decisions: Sequence[Decided]) -> None:
    """Defer one job for each waiting time, in whole seconds so that a storm creates few jobs."""
    waiting: dict[int, list[int]] = {}
    for decision in decisions:
        if decision.verdict.again is not None:
            seconds = ceil(decision.verdict.again.total_seconds())
            waiting.setdefault(seconds, []).append(decision.episode_id)
    for seconds, episode_ids in waiting.items():
        defer(session, Job.DECIDE, after=timedelta(seconds=seconds), episode_ids=episode_ids)
