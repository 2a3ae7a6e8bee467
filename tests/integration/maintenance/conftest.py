"""A policy with windows in the database, alerts of its services, and their timelines."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ims.alerts.ingest import Outcome, ingest
from ims.alerts.models import Episode
from ims.alerts.notifications import AlertNotification
from ims.healing.decide import decide
from ims.healing.records import Decided
from ims.incidents.models import Incident, TimelineEvent
from ims.policy.models import PolicyActivation, PolicySnapshot
from ims.policy.schema import Policy
from tests.support.notifications import NOW, add_source, at

RULE = {
    "name": "restart",
    "match": {"alertname": "ServiceDown"},
    "playbook": "playbooks/heal/restart.yml",
    "cooldown": 0,
}


def policy_of(*windows: dict[str, Any], **more: Any) -> Policy:
    """A policy: service checkout on machine node-1, service search, a rule that heals both, and these windows."""
    services = {
        "checkout": {"name": "checkout", "service": "shop", "service_recovery": "ims", "machine": "node-1"},
        "search": {"name": "search", "service_recovery": "ims"},
    }
    return Policy.from_stored(
        {
            "inventory": "inventory/local",
            "healing_rules": [RULE],
            "services": services,
            "hosts": ["checkout", "search", "node-1"],
            "groups": {"services": ["checkout", "search"], "racks": ["node-1"]},
            "maintenance_windows": windows,
            **more,
        }
    )


def window(name: str = "patching", **more: Any) -> dict[str, Any]:
    """A window of service checkout from `NOW` for an hour."""
    return {"name": name, "services": ["checkout"], "from": at(0).isoformat(), "to": at(3600).isoformat(), **more}


@dataclass
class Site:
    """What tests do on a site: activate a policy, take notifications, decide, look."""

    session: Session
    policy: Policy

    def activate(self, policy: Policy) -> None:
        self.policy = policy
        digest = hashlib.sha256(policy.model_dump_json().encode()).hexdigest()
        if self.session.get(PolicySnapshot, digest) is None:
            self.session.add(
                PolicySnapshot(
                    digest=digest, archive=b"", inventory="inventory/local", created_at=NOW,
                    policy=policy.model_dump(mode="json"),
                )
            )  # fmt: skip
        self.session.flush()
        self.session.add(PolicyActivation(digest=digest, activated_at=NOW, actor="alice"))
        self.session.flush()

    def take(self, *notifications: AlertNotification, now: datetime = NOW) -> Outcome:
        """Ingest notifications, as the webhook does."""
        return ingest(self.session, notifications, (), self.policy, now)

    def decide(self, *episodes: int, now: datetime = NOW) -> list[Decided]:
        """Decide, as the worker does."""
        decisions = decide(self.session, episodes, now)
        self.session.expire_all()
        return decisions

    def incident_of(self, episode_id: int) -> Incident:
        self.session.expire_all()
        return self.session.get_one(Incident, self.session.get_one(Episode, episode_id).incident_id)

    def events(self, incident_id: UUID) -> list[str]:
        """The kinds of an incident's timeline, without the kinds that ingest always writes."""
        query = select(TimelineEvent.kind).where(TimelineEvent.incident_id == incident_id).order_by(TimelineEvent.seq)
        usual = ("incident_opened", "alert_firing", "alert_resolved", "resolved")
        return [kind for kind in self.session.scalars(query) if kind not in usual]

    def jobs(self, task: str = "decide") -> list[tuple[dict[str, Any], datetime | None]]:
        """Jobs that wait: arguments and, for later ones, when."""
        query = text("SELECT args, scheduled_at FROM procrastinate_jobs WHERE task_name = :task ORDER BY id")
        return [(row.args, row.scheduled_at) for row in self.session.execute(query, {"task": task})]

    def forget_jobs(self) -> None:
        self.session.execute(text("DELETE FROM procrastinate_jobs"))


@pytest.fixture
def site(session: Session) -> Site:
    """A site with a source and a policy without windows."""
    add_source(session)
    made = Site(session, policy_of())
    made.activate(made.policy)
    return made
