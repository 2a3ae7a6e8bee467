"""Our webhook as it runs in production: its own gunicorn settings, a migrated database, a token, an active policy."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.database import number
from benchmarks.programs import ROOT, BenchmarkFailed, free_environment, running, wait_for_answer
from tests.support.postgres import PostgresServer, free_port

SERVICES = 100
"""As many as alerts.lua spreads its alerts over."""
TOKEN = "0123456789abcdef0123456789abcdef"
SECRETS = ("database_app_password", "database_owner_password", "alertmanager_token", "admin_password")

HEALING = """\
healing_mode: auto
healing_rules:
  - name: restart-a-dead-service
    match: {alertname: ServiceDown}
    playbook: playbooks/heal/restart_service.yml
    attempts: 3
    cooldown: 30
    timeout: 120
    safe_to_repeat: true
    verify: {green_for: 3, within: 60, interval: 0.5}
"""
PLAYBOOK = """\
- name: Restart the service
  hosts: services
  gather_facts: false
  tasks:
    - name: Tell what fires
      ansible.builtin.debug:
        var: alert
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """A state directory with a database, ready for programs of ours."""

    state: Path
    server: PostgresServer
    database: str

    @property
    def environment(self) -> dict[str, str]:
        """What the programs are told."""
        return free_environment() | {"IMS_STATE_DIR": str(self.state)}

    def ims(self, *arguments: str | Path) -> None:
        """An `ims` command. Raises `BenchmarkFailed` with what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "ims.cli", *map(str, arguments)],
            cwd=ROOT, env=self.environment, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
        if done.returncode:
            raise BenchmarkFailed(f"ims {arguments[0]} failed:\n{done.stdout}{done.stderr}")

    def stored_notices(self) -> int:
        """How many notices the database holds, repeats included."""
        return number(self.server, self.database, "SELECT coalesce(sum(notices), 0) FROM episode")


def install(server: PostgresServer, directory: Path, *, policy: Path, inventory: str) -> Installation:
    """Do what `site.yml` does for the programs: roles, database, secrets, settings, migration, policy."""
    database = "ims"
    server.execute(
        f"CREATE ROLE ims_owner LOGIN PASSWORD '{server.password}'",
        f"CREATE ROLE ims_app LOGIN PASSWORD '{server.password}'",
        f"CREATE DATABASE {database} OWNER ims_owner",
    )
    secrets = directory / "secrets"
    secrets.mkdir(parents=True)
    for name in SECRETS:
        (secrets / name).write_text(server.password if name.startswith("database_") else TOKEN)
    (directory / "ims.env").write_text(
        f"IMS_DATABASE_URL=postgresql://ims_app@127.0.0.1:{server.port}/{database}\n"
        f"IMS_DATABASE_OWNER_URL=postgresql://ims_owner@127.0.0.1:{server.port}/{database}\n"
        f"IMS_DATABASE_PASSWORD_FILE={secrets}/database_app_password\n"
        f"IMS_DATABASE_OWNER_PASSWORD_FILE={secrets}/database_owner_password\n"
        f"IMS_WEBHOOK_PORT={free_port()}\nIMS_WORKER_METRICS_PORT={free_port()}\nIMS_LOG_FORMAT=json\n"
    )
    installation = Installation(directory, server, database)
    installation.ims("migrate")
    installation.ims("bootstrap")
    installation.ims("policy", "load", "--root", policy, "--inventory", inventory)
    return installation


def write_policy(root: Path) -> str:
    """A policy with 100 services and one rule that matches them all; returns its inventory."""
    inventory = root / "inventory/bench"
    playbook = root / "playbooks/heal/restart_service.yml"
    (inventory / "group_vars/all").mkdir(parents=True)
    playbook.parent.mkdir(parents=True)
    hosts = "\n".join(
        f"    bench-{number:02}:\n      url: http://127.0.0.1:9/health\n      owner: operations"
        for number in range(SERVICES)
    )
    (inventory / "hosts.yml").write_text(f"services:\n  hosts:\n{hosts}\n  vars:\n    ansible_connection: local\n")
    (inventory / "group_vars/all/healing.yml").write_text(HEALING)
    playbook.write_text(PLAYBOOK)
    return "inventory/bench"


@contextlib.contextmanager
def gunicorn(app: str, installation: Installation, log: Path) -> Iterator[str]:
    """A WSGI application under the webhook's own gunicorn settings; yields its base URL."""
    port = free_port()
    environment = installation.environment | {
        "IMS_WEBHOOK_PORT": str(port),
        "PROMETHEUS_MULTIPROC_DIR": str(log.with_suffix(".metrics")),
    }
    log.with_suffix(".metrics").mkdir(exist_ok=True)
    command: list[str | Path] = [sys.executable, "-m", "gunicorn", "--config", ROOT / "webhook/gunicorn_conf.py", app]
    with running(command, log=log, environment=environment) as process:
        wait_for_answer(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}"
