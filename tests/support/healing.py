"""A real place to heal: a policy with services, what they answer, a journal of everything that runs touch there.

Each service is a file that says whether it is well, served over HTTP. The playbook that heals it is in a real policy
tree and works through real processes of real Ansible. Whatever it does on a target is written to the target's journal,
one line for each moment of work, with the id of the run: two runs at once would show as interleaved lines.
"""

import json
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from ims.alerts.models import Alert, Episode
from ims.core.db.engine import Database
from ims.core.queue import Job, defer
from ims.incidents.models import Incident, TimelineEvent
from ims.policy.git import GitState
from ims.policy.revision import Revision, make_revision
from ims.policy.schema import Policy
from ims.policy.usecases import store_and_activate
from ims.runs.models import Run
from ims.sources.models import Source
from tests.support.context import by_command

WORK = """
import os, sys, time
journal, state, seconds, make_well = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4] == "well"
run = os.environ["IMS_RUN_ID"]
out = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
end = time.monotonic() + seconds
while time.monotonic() < end:
    os.write(out, f"{run} {time.time():.4f}\\n".encode())
    time.sleep(0.02)
if make_well:
    with open(state, "w") as file:
        file.write("well")
os.write(out, f"{run} {time.time():.4f}\\n".encode())
"""

PLAYBOOK = """
- name: Restart
  hosts: services
  gather_facts: false
  tasks:
    - name: Stop the service
      ansible.builtin.command:
        argv: "{{ work + ['no'] }}"
      changed_when: true
    - name: Start the service
      ansible.builtin.command:
        argv: "{{ work + ['well'] }}"
      changed_when: true
"""

USELESS = """
- name: Do nothing that helps
  hosts: services
  gather_facts: false
  tasks:
    - name: Say something
      ansible.builtin.debug:
        msg: "{{ alert.labels.alertname }}"
"""

FAILING = """
- name: Fail
  hosts: services
  gather_facts: false
  tasks:
    - name: Give up
      ansible.builtin.fail:
        msg: It does not work.
"""


class _Answer(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        state = self.server.directory / f"{self.path.strip('/')}.state"
        is_healthy = state.is_file() and state.read_text() == "well"
        self.send_response(200 if is_healthy else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    directory: Path


@dataclass
class Site:
    """The services, their journals and the policy that heals them."""

    directory: Path
    services: tuple[str, ...] = ("shop",)
    work_seconds: float = 0.3
    rule: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """More variables of group_vars/all."""
    host_vars: Mapping[str, Any] = field(default_factory=dict)
    playbook: str = PLAYBOOK
    _server: _Server | None = None

    def start(self) -> None:
        """Begin to answer for the services."""
        server = _Server(("127.0.0.1", 0), _Answer)
        server.directory = self.directory
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._server = server

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def url(self, service: str) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}/{service}"

    def break_service(self, service: str) -> None:
        (self.directory / f"{service}.state").unlink(missing_ok=True)

    def mend_service(self, service: str) -> None:
        (self.directory / f"{service}.state").write_text("well")

    def is_healthy(self, service: str) -> bool:
        return (self.directory / f"{service}.state").exists()

    def _rule(self) -> dict[str, Any]:
        return {
            "name": "restart",
            "match": {"alertname": "ServiceDown"},
            "playbook": "playbooks/heal/restart.yml",
            "attempts": 3,
            "cooldown": 0,
            "timeout": 60,
            "safe_to_repeat": True,
            "verify": {"green_for": 0.4, "within": 5, "interval": 0.1},
            **self.rule,
        }

    def _host(self, name: str) -> dict[str, Any]:
        return {"url": self.url(name), "service_recovery": "ims", **self.host_vars}

    def write_policy(self) -> Path:
        """Write the policy tree and return its root."""
        root = self.directory / "policy-source"
        work = self.directory / "work.py"
        work.write_text(WORK)
        hosts = {
            name: {
                **self._host(name),
                "journal": str(self.directory / f"{name}.journal"),
                "state": str(self.directory / f"{name}.state"),
            }
            for name in self.services
        }
        local = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "work": [
                "{{ ansible_playbook_python }}",
                str(work),
                "{{ journal }}",
                "{{ state }}",
                str(self.work_seconds),
            ],
        }
        files = {
            "ansible.cfg": "[defaults]\ninterpreter_python = auto_silent\n",
            "playbooks/heal/restart.yml": self.playbook,
            "inventory/test/hosts.yml": yaml.safe_dump(
                {"all": {"children": {"services": {"hosts": hosts, "vars": local}}}}
            ),
            "inventory/test/group_vars/all/healing.yml": yaml.safe_dump(
                {"healing_rules": [self._rule()], **self.settings}
            ),
        }
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return root

    def activate(self, database: Database) -> str:
        """Load the policy as `ims admin policy load` does; its digest."""
        revision = make_revision(self.write_policy(), "inventory/test", environment={"PATH": "/usr/bin:/bin"})
        with database.begin() as session:
            store_and_activate(by_command(session, now()), revision)
        return revision.digest

    def activate_unread(self, database: Database) -> None:
        """Activate the same policy without a tree, for tests in which nothing is run: reading one takes a second."""
        services = {name: {"name": name, **self._host(name)} for name in self.services}
        stored = {
            "inventory": "inventory/test",
            "healing_rules": [self._rule()],
            "services": services,
            "hosts": list(self.services),
            "groups": {"services": list(self.services)},
            **self.settings,
        }
        revision = Revision(uuid.uuid4().hex * 2, b"", Policy.from_stored(stored), GitState(None, None))
        with database.begin() as session:
            store_and_activate(by_command(session, now()), revision)

    def work_of(self, service: str) -> list[str]:
        """The runs that worked on a service, in order, one entry for each stretch of work without another run between.

        A run that comes up twice was interrupted by another one: they worked at once.
        """
        journal = self.directory / f"{service}.journal"
        lines = journal.read_text().splitlines() if journal.exists() else []
        moments = sorted((float(line.split()[1]), line.split()[0]) for line in lines)
        stretches: list[str] = []
        for _, run in moments:
            if not stretches or stretches[-1] != run:
                stretches.append(run)
        return stretches


def now() -> datetime:
    return datetime.now(UTC)


def fire(
    session: Session, service: str, *, alertname: str = "ServiceDown", decide: bool = True
) -> tuple[int, uuid.UUID]:
    """An alert begins to fire, as ingest writes it; its episode and its incident."""
    at = now()
    if session.get(Source, "alertmanager") is None:
        session.add(Source(name="alertmanager", kind="alertmanager", created_at=at))
    labels = {"alertname": alertname, "service": service}
    incident = Incident(
        title=f"{alertname} {service}", service=service, environment="default", severity="high", opened_at=at,
        updated_at=at, labels=labels,
    )  # fmt: skip
    session.add(incident)
    session.flush()
    alert = Alert(
        source="alertmanager", fingerprint=uuid.uuid4().hex, name=alertname, service=service, environment="default",
        severity="high", labels=labels, annotations={"summary": "It is down."}, first_seen_at=at, last_seen_at=at,
    )  # fmt: skip
    session.add(alert)
    session.flush()
    episode = Episode(
        alert_id=alert.id, incident_id=incident.id, opened_at=at, last_notification_at=at, sender_starts=[at]
    )
    session.add(episode)
    session.flush()
    if decide:
        defer(session, Job.DECIDE, episode_ids=[episode.id])
    return episode.id, incident.id


def resolve(session: Session, episode_id: int) -> None:
    """The alert of an episode is resolved."""
    episode = session.get(Episode, episode_id)
    assert episode is not None
    episode.closed_at = now()


def timeline(session: Session, incident_id: uuid.UUID) -> list[tuple[str, dict[str, Any]]]:
    """The timeline of an incident: kinds and data."""
    query = select(TimelineEvent).filter_by(incident_id=incident_id).order_by(TimelineEvent.seq)
    return [(event.kind, event.data) for event in session.scalars(query)]


def kinds(session: Session, incident_id: uuid.UUID) -> list[str]:
    """The kinds of an incident's timeline events."""
    return [kind for kind, _ in timeline(session, incident_id)]


def runs_of(session: Session, episode_id: int) -> list[Run]:
    """The runs of an episode, in order."""
    return list(session.scalars(select(Run).filter_by(episode_id=episode_id).order_by(Run.number)))


def timeline_text(session: Session, incident_id: uuid.UUID) -> str:
    """An incident's timeline as text, for the message of a failed test."""
    return "\n".join(f"{kind} {json.dumps(data)}" for kind, data in timeline(session, incident_id))
