"""Our programs as they run in production: own gunicorn settings, a migrated database, a token, an active policy."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.database import number
from benchmarks.programs import ROOT, BenchmarkFailed, free_environment, running, wait_for_answer
from tests.support.postgres import PostgresServer, free_port

SERVICES = 100
"""As many as alerts.lua spreads its alerts over."""
TOKEN = "0123456789abcdef0123456789abcdef"
IMS = Path(sys.executable).with_name("ims")
COMMAND_TOKEN = "fedcba9876543210fedcba9876543210"
"""By which the command acts for the administrator."""
SECRETS = {
    "database_app_password": None,
    "database_owner_password": None,
    "alertmanager_token": TOKEN,
    "admin_password": TOKEN,
    "command_token": COMMAND_TOKEN,
}
"""By their files; the database's are the server's."""

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
INVENTORY = """\
services:
  hosts:
{hosts}
  vars:
    url: {url}
    owner: operations
    service_recovery: ims
    ansible_connection: local
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
"""
PLAYBOOK = """\
- name: Restart the service
  hosts: services
  gather_facts: false
  tasks:
    - name: Leave a mark
      ansible.builtin.command:
        argv: [touch, {mark}]
"""


@dataclass(frozen=True, slots=True)
class PolicyTree:
    """A policy with 100 services and one rule that matches them all."""

    root: Path
    inventory: str = "inventory/bench"
    playbook: str = "playbooks/heal/restart_service.yml"

    @classmethod
    def write(cls, root: Path, *, url: str, mark: Path) -> "PolicyTree":
        """Write it; every service is probed by `url`, and the playbook's first task touches the file `mark`."""
        tree = cls(root)
        variables = root / tree.inventory / "group_vars/all"
        variables.mkdir(parents=True)
        (root / tree.playbook).parent.mkdir(parents=True)
        hosts = "\n".join(f"    {service(number)}:" for number in range(SERVICES))
        (root / tree.inventory / "hosts.yml").write_text(INVENTORY.format(hosts=hosts, url=url))
        (variables / "healing.yml").write_text(HEALING)
        (root / tree.playbook).write_text(PLAYBOOK.format(mark=mark))
        return tree


def service(number: int) -> str:
    """The name of a service, as alerts.lua makes it too."""
    return f"bench-{number:02}"


@dataclass(frozen=True, slots=True)
class Installation:
    """A state directory with a database, ready for programs of ours."""

    state: Path
    server: PostgresServer
    worker_port: int
    database: str = "ims"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the programs."""
        return free_environment() | {"IMS_STATE_DIR": str(self.state)}

    def beside(self, name: str) -> "Installation":
        """The same settings with a state directory of its own: a second server would wipe the first one's metrics."""
        state = self.state.with_name(name)
        state.mkdir()
        shutil.copy2(self.state / "ims.env", state / "ims.env")
        return replace(self, state=state)

    def ims(self, *arguments: str | Path) -> None:
        """An `ims` command. Raises `BenchmarkFailed` with what it said."""
        done = subprocess.run(
            [IMS, *map(str, arguments)],
            cwd=ROOT, env=self.environment, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
        if done.returncode:
            raise BenchmarkFailed(f"ims {arguments[0]} failed:\n{done.stdout}{done.stderr}")

    def stored_notifications(self) -> int:
        """How many notifications the database holds, repeats included."""
        return number(self.server, self.database, "SELECT coalesce(sum(notifications), 0) FROM episode")


def install(server: PostgresServer, directory: Path, policy: PolicyTree, *, webhook_port: int) -> Installation:
    """Do what `site.yml` does for the programs: roles, database, secrets, settings, migration, policy."""
    installation = Installation(directory, server, free_port())
    database = installation.database
    server.execute(
        f"CREATE ROLE ims_owner LOGIN PASSWORD '{server.password}'",
        f"CREATE ROLE ims_app LOGIN PASSWORD '{server.password}'",
        f"CREATE DATABASE {database} OWNER ims_owner",
    )
    secrets = directory / "secrets"
    secrets.mkdir(parents=True)
    for name, secret in SECRETS.items():
        (secrets / name).write_text(secret or server.password)
    (directory / "ims.env").write_text(
        f"IMS_DATABASE_URL=postgresql://ims_app@127.0.0.1:{server.port}/{database}\n"
        f"IMS_DATABASE_OWNER_URL=postgresql://ims_owner@127.0.0.1:{server.port}/{database}\n"
        f"IMS_DATABASE_PASSWORD_FILE={secrets}/database_app_password\n"
        f"IMS_DATABASE_OWNER_PASSWORD_FILE={secrets}/database_owner_password\n"
        # An unused address: IMS would poll an Alertmanager that happens to run here, which knows none of our alerts.
        f"IMS_ALERTMANAGER_URL=http://127.0.0.1:{free_port()}\n"
        f"IMS_WEBHOOK_PORT={webhook_port}\nIMS_WORKER_METRICS_PORT={installation.worker_port}\nIMS_LOG_FORMAT=json\n"
    )
    installation.ims("admin", "migrate")
    installation.ims("admin", "bootstrap")
    installation.ims("admin", "policy", "load", "--root", policy.root, "--inventory", policy.inventory)
    return installation


@contextlib.contextmanager
def gunicorn(app: str, installation: Installation, log: Path, *, port: int) -> Iterator[str]:
    """A WSGI application under the webhook's own gunicorn settings; yields its base URL."""
    environment = installation.environment | {"IMS_WEBHOOK_PORT": str(port)}
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        "python:ims.programs.webhook_gunicorn",
        app,
    ]
    with running(command, log=log, environment=environment) as process:
        wait_for_answer(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def worker(installation: Installation, log: Path) -> Iterator[None]:
    """A worker of ours, ready for jobs."""
    with running([IMS, "admin", "worker"], log=log, environment=installation.environment) as process:
        wait_for_answer(process, f"http://127.0.0.1:{installation.worker_port}/metrics", log)
        yield
