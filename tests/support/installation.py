"""A whole IMS on this machine, set up by `make up` as a newcomer would, on free ports in a directory of its own."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from ims.core.db.engine import Database
from ims.core.settings import Settings, load_settings
from tests.support.postgres import free_port

ROOT = Path(__file__).resolve().parents[2]
PORTS = (
    "ims_web_port",
    "webhook_port",
    "worker_metrics_port",
    "prometheus_port",
    "alertmanager_port",
    "blackbox_port",
    "postgresql_port",
)
COMMAND_TIMEOUT_SECONDS = 420


@dataclass
class Installation:
    """A checkout, a state directory and what runs from them."""

    directory: Path
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in PORTS})

    @classmethod
    def create(cls) -> "Installation":
        """Copy the repository's files to an empty directory and give the inventory free ports."""
        # Not below pytest's own directory: the user `ims` could not enter it, and socket paths are short.
        directory = Path(tempfile.mkdtemp(prefix="ims-acceptance-"))
        directory.chmod(0o755)
        installation = cls(directory)
        installation.check_out()
        return installation

    def check_out(self, commit: str | None = None) -> None:
        """Lay the repository's files anew, as they are here or were in a commit, with this installation's ports."""
        shutil.rmtree(self.checkout, ignore_errors=True)
        self.checkout.mkdir(parents=True)
        if commit is not None:
            archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
            subprocess.run(["tar", "-xf", "-", "-C", self.checkout], input=archive, check=True)
        else:
            self._copy_tree()
        self.edit(
            "inventory/local/group_vars/all/platform.yml",
            {rf"(?m)^{name}: \d+$": f"{name}: {port}" for name, port in self.ports.items()},
        )

    def _copy_tree(self) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.checkout / name)

    @property
    def checkout(self) -> Path:
        return self.directory / "checkout"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def settings(self) -> Settings:
        """The settings of the programs, read as they read them."""
        return load_settings({"IMS_STATE_DIR": str(self.state)})

    @property
    def database(self) -> Database:
        return Database.of(self.settings)

    def url(self, port: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def edit(self, name: str, changes: Mapping[str, str]) -> None:
        """Change a file as a person would; each pattern must be there."""
        path = self.checkout / name
        content = path.read_text()
        for pattern, replacement in changes.items():
            content, count = re.subn(pattern, replacement, content)
            assert count == 1, f"{name} has no single {pattern}"
        path.write_text(content)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command in the checkout with a newcomer's environment."""
        done = subprocess.run(
            command, cwd=self.checkout, env=self.environment(), text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=COMMAND_TIMEOUT_SECONDS,
        )  # fmt: skip
        if check and done.returncode:
            logs = "".join(f"\n--- {log}\n{log.read_text()[-3000:]}" for log in sorted(self.state.glob("*.log")))
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-5000:]}{logs}")
        return done

    def environment(self) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "TERM", "XDG_CACHE_HOME", "PIP_INDEX_URL", "UV_INDEX_URL", "SSL_CERT_FILE")
        return {name: os.environ[name] for name in kept if name in os.environ} | {"IMS_STATE_DIR": str(self.state)}

    def converge(self) -> dict[str, dict[str, int]]:
        """`ansible-playbook site.yml` as `make up` calls it; the recap by host."""
        done = subprocess.run(
            [str(self.state / "venv/bin/ansible-playbook"), "site.yml", "-i", "inventory/local"],
            cwd=self.checkout, env=self.environment() | {"ANSIBLE_CONFIG": str(self.checkout / "ansible.cfg")},
            text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=COMMAND_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-5000:]
        recap = done.stdout.rpartition("PLAY RECAP")[2]
        return {
            host: {key: int(count) for key, count in re.findall(r"(\w+)=(\d+)", figures)}
            for host, figures in re.findall(r"(?m)^(\S+)\s+:\s+(.*)$", recap)
        }

    def secret(self, name: str) -> str:
        return (self.state / "secrets" / name).read_text().strip()

    def inventory_file(self, name: str, content: str) -> None:
        """Add a file to the checkout, as the README says."""
        assert yaml.safe_load(content)
        (self.checkout / name).write_text(content)

    def processes(self) -> list[psutil.Process]:
        """Every process that carries this installation's mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("IMS_INSTANCE") == str(self.state):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    def listening(self) -> set[int]:
        """Which of our ports somebody listens on."""
        open_ports = {item.laddr.port for item in psutil.net_connections("tcp") if item.status == psutil.CONN_LISTEN}
        return open_ports & set(self.ports.values())

    def remove(self) -> None:
        """Stop everything, whatever state it is in, and delete the directory."""
        if (self.state / "venv").exists():
            self.run("make", "down", check=False)
        for process in self.processes():
            process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def is_in_history(commit: str) -> bool:
    """Whether this clone has a commit; a shallow one does not have the older ones."""
    known = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(known, cwd=ROOT, check=False, capture_output=True).returncode == 0


def fetch(url: str, *, body: object = None, token: str | None = None, timeout: float = 10) -> tuple[int, Any]:
    """Status and decoded body of a GET, or of a POST when there is a body; an error status is no exception."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            return response.status, _decoded(response.read())
    except urllib.error.HTTPError as error:
        return error.code, _decoded(error.read())


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
