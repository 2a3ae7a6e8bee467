"""A history worth looking at: incidents that healed, failed, were refused, and were taken by people.

Written through the timeline and the models, at times of our choosing; used by tests of pages and by the screenshots.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from argon2 import PasswordHasher
from sqlalchemy import update
from sqlalchemy.orm import Session

from ims.accounts.models import Membership, Team, UserAccount
from ims.alerts.models import Alert, Episode
from ims.core.actors import SYSTEM, Actor, ActorKind
from ims.core.principal import Role
from ims.healing.models import Decision, DecisionOutcome
from ims.incidents.models import EventKind, Incident
from ims.incidents.transitions import NewEvent, append
from ims.policy.models import PolicyActivation, PolicySnapshot
from ims.runs.models import ACTIVE, Run, RunEvent, RunOutcome, RunStatus, Verification, VerificationStatus
from ims.runs.spec import Kind, RunSpec, VerificationSpec
from ims.sources.models import Source

DIGEST = "5f1c6a0e9b7d42c38ab4d1e0f9c27b615f1c6a0e9b7d42c38ab4d1e0f9c27b61"
SENDER = Actor(ActorKind.SENDER, "alertmanager")
PASSWORD = "correct horse battery"
RULE = "restart-a-dead-service"
PLAYBOOK = "playbooks/heal/restart_service.yml"


SCHEDULES = [
    {
        "name": "discovery",
        "team": "discovery",
        "layers": [{"name": "office", "people": ["alice"], "starts": "2026-01-05", "restrictions": [{"to": "12:00"}]}],
    },
    {
        "name": "payments",
        "team": "payments",
        "description": "Who takes the customer's money",
        "timezone": "Europe/Berlin",
        "layers": [{"name": "weeks", "people": ["alice", "bob"], "starts": "2026-01-05"}],
    },
]
"""alice and bob take turns; for the search alice is on call in the mornings only."""
VERIFICATIONS = {
    RunOutcome.VERIFYING: VerificationStatus.PENDING,
    RunOutcome.HEALED: VerificationStatus.PASSED,
    RunOutcome.INEFFECTIVE: VerificationStatus.FAILED,
}


def spec_of(service: str) -> RunSpec:
    """What the rule of the history runs."""
    window = VerificationSpec(url=f"https://{service}.example.org/health", green_for=3, within=60, interval=0.5)
    return RunSpec(kind=Kind.HEAL, playbook=PLAYBOOK, target=service, timeout=120, lock_keys=(service,),
                   verification=window)  # fmt: skip


def add_cast(session: Session, now: datetime) -> None:
    """alice administers, bob responds for the payments, charlie only looks on."""
    cast = (("alice", Role.ADMIN), ("bob", Role.RESPONDER), ("charlie", Role.VIEWER))
    # As cheap as it gets: tests sign in a hundred times.
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    people = {name: UserAccount(name=name, role=role, password_hash=hashed, created_at=now) for name, role in cast}
    session.add_all([*people.values(), Team(name="payments", created_at=now)])
    session.flush()
    session.add(Membership(team="payments", user_id=people["bob"].id))


def add_policy(session: Session, now: datetime) -> None:
    """A revision with four services, active."""
    services: dict[str, dict[str, Any]] = {
        name: {
            "name": name,
            "service": name,
            "unit": name,
            "team": team,
            "owner": owner,
            "service_environment": "production",
            "runbook": f"https://wiki.example.org/runbooks/{name}",
            "description": description,
            "service_recovery": "ims",
        }
        for name, team, owner, description in (
            ("checkout", "payments", "bob", "Takes the customer's money"),
            ("search", "discovery", "alice", "Finds products"),
            ("ims-web", "operations", "alice", "The pages and the REST API of IMS"),
            ("mailer", "operations", "alice", "Sends the shop's mail"),
        )
    }
    policy = {
        "inventory": "inventory/local",
        "services": services,
        "hosts": list(services),
        "oncall_schedules": SCHEDULES,
    }
    session.add(
        PolicySnapshot(
            digest=DIGEST,
            archive=b"",
            policy=policy,
            inventory="inventory/local",
            git_commit="3f9e2c1",
            git_dirty=False,
            created_at=now,
        )
    )
    session.flush()
    session.add(PolicyActivation(digest=DIGEST, activated_at=now, actor="alice"))
    session.add(Source(name="alertmanager", kind="alertmanager", created_at=now))
    session.flush()


@dataclass
class Tale:
    """One incident as it happens; each method is a moment `at` seconds after it was opened."""

    session: Session
    opened_at: datetime
    service: str
    title: str
    severity: str = "critical"
    alert_name: str = "ServiceDown"
    incident: Incident = field(init=False)
    episode: Episode = field(init=False)

    def __post_init__(self) -> None:
        now = self.opened_at
        labels = {"alertname": self.alert_name, "service": self.service, "severity": self.severity}
        labels |= {"environment": "production", "instance": f"{self.service}.example.org:443", "job": "blackbox"}
        self.incident = Incident(
            id=uuid4(), title=self.title, service=self.service, environment="production", severity=self.severity,
            labels=labels, opened_at=now, updated_at=now, team="payments" if self.service == "checkout" else None,
            runbook_url=f"https://wiki.example.org/runbooks/{self.service}", description="",
        )  # fmt: skip
        self.session.add(self.incident)
        alert = Alert(
            source="alertmanager", fingerprint=uuid4().hex[:16], name=self.alert_name, service=self.service,
            environment="production", severity=self.severity, labels=labels, first_seen_at=now, last_seen_at=now,
            annotations={"summary": f"{self.service} does not answer"},
            generator_url="http://127.0.0.1:9090/graph?g0.expr=probe_success",
        )  # fmt: skip
        self.session.add(alert)
        self.session.flush()
        self.episode = Episode(
            alert_id=alert.id,
            incident_id=self.incident.id,
            opened_at=now,
            last_notification_at=now,
            sender_starts=[now],
        )
        self.session.add(self.episode)
        self.session.flush()
        self.tell(0, EventKind.INCIDENT_OPENED, SENDER, title=self.title, severity=self.severity)
        self.tell(0, EventKind.ALERT_FIRING, SENDER, alert=self.alert_name, service=self.service)

    @property
    def id(self) -> UUID:
        return self.incident.id

    def when(self, at: float) -> datetime:
        return self.opened_at + timedelta(seconds=at)

    def tell(self, at: float, kind: EventKind, actor: Actor, **data: Any) -> None:
        append(self.session, [NewEvent(self.id, kind, actor, data)], self.when(at))

    def set(self, **values: Any) -> None:
        self.session.flush()
        self.session.execute(update(Incident).where(Incident.id == self.id).values(**values))
        self.session.refresh(self.incident)

    def run(self, at: float, seconds: float, outcome: RunOutcome, *, verify: float = 0, attempt: int = 1,
            reason: str | None = None, failed_task: str | None = None) -> Run:  # fmt: skip
        """A run that starts `at`; its playbook takes `seconds`, its verification `verify`."""
        began, is_running = self.when(at), outcome is RunOutcome.RUNNING
        ended = None if is_running else self.when(at + seconds)
        verified = None if outcome in ACTIVE else self.when(at + seconds + verify)
        verification = VERIFICATIONS.get(outcome)
        run = Run(
            status=RunStatus.SUCCEEDED if verification else RunStatus(outcome.value), verification=verification,
            incident_id=self.id, episode_id=self.episode.id, rule=RULE, attempt=attempt, playbook=PLAYBOOK,
            target=self.service, revision=DIGEST, queued_at=began, started_at=began, finished_at=ended,
            ended_at=verified, rc=None if is_running else int(failed_task is not None) * 2, reason=reason,
            failed_task=failed_task, claimed_by="worker-1", recap={}, spec=spec_of(self.service).stored(),
        )  # fmt: skip
        self.session.add(run)
        self.session.flush()
        if verification:
            since = verified if verification is VerificationStatus.PASSED else None
            self.session.add(
                Verification(
                    run_id=run.id, status=verification, started_at=ended, ended_at=verified, healthy_since=since,
                    decided_by="probe", probes=int(verify / 0.5) + 1,
                )
            )  # fmt: skip
        name = f"R-{run.number}"
        rule = Actor(ActorKind.RULE, RULE)
        self.tell(at, EventKind.RULE_ALLOWED, rule, rule=RULE, target=self.service, attempt=attempt, attempts=3)
        self.tell(at, EventKind.RUN_STARTED, Actor(ActorKind.RUN, name), number=run.number, playbook=PLAYBOOK,
                  target=self.service)  # fmt: skip
        if ended:
            ending = "playbook_ended" if failed_task is None else str(outcome)
            data = {"number": run.number, "outcome": ending, "failed_task": failed_task}
            self.tell(at + seconds, EventKind.RUN_FINISHED, Actor(ActorKind.RUN, name), **data, reason=reason)
        if outcome is RunOutcome.HEALED:
            self.tell(
                at + seconds + verify,
                EventKind.VERIFICATION_PASSED,
                Actor(ActorKind.RUN, name),
                number=run.number,
                target=self.service,
                reason="its url answered for 3 s",
            )
            self.set(healed_at=self.when(at + seconds + verify))
        return run

    def clear(self, at: float) -> None:
        """The alert resolves, and with it the incident."""
        self.episode.closed_at = self.when(at)
        self.tell(at, EventKind.ALERT_RESOLVED, SENDER, alert=self.alert_name, seconds=at)
        self.tell(at, EventKind.RESOLVED, SYSTEM)
        self.set(status="resolved", resolved_at=self.when(at))

    def give_up(self, at: float, reason: str) -> None:
        self.tell(at, EventKind.AUTOMATION_GAVE_UP, SYSTEM, reason="attempts", message=reason, rule=RULE)
        self.set(attention_at=self.when(at), attention_reason=reason)

    def refuse(self, at: float, reason: str) -> None:
        self.session.add(
            Decision(
                incident_id=self.id, episode_id=self.episode.id, rule=RULE, revision=DIGEST,
                outcome=DecisionOutcome.DENIED, reason=reason, message=f"{self.service} is not healed.",
                answers=[{"guard": "mode", "answer": "pass"},
                         {"guard": reason, "answer": "deny", "reason": reason, "message": "Said so."}],
                first_at=self.when(at), last_at=self.when(at),
            )
        )  # fmt: skip
        self.tell(at, EventKind.RULE_DENIED, Actor(ActorKind.RULE, RULE), rule=RULE, reason=reason)


def add_log(session: Session, run: Run, lines: Sequence[tuple[str, str, str | None]]) -> None:
    """The log of a run: (kind, text, task) each."""
    began = run.started_at or run.queued_at
    session.add_all(
        RunEvent(
            run_id=run.id, counter=place, at=began + timedelta(milliseconds=180 * place), kind=kind, task=task,
            host=run.target, stdout=text, data={},
        )
        for place, (kind, text, task) in enumerate(lines, start=1)
    )  # fmt: skip
    session.flush()
