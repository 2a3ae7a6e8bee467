"""Read a policy tree by Ansible in a child process: what it says, unvalidated, with places for every fault.

The child has an environment of its own, standard input null, a deadline and a cap on what it may answer, and it is
ended together with everything it started. Why Ansible itself and not a YAML parser: templates, group precedence and
vault must mean here what they mean in a run.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ims.core.errors import IMSError
from ims.policy.faults import Fault

DEADLINE_SECONDS = 120.0
ANSWER_BYTES = 64 * 1024 * 1024
TOLD_BYTES = 64 * 1024

STATIC_INVENTORY_PLUGINS = (
    "ansible.builtin.yaml",
    "ansible.builtin.ini",
    "ansible.builtin.toml",
    "ansible.builtin.constructed",
)
"""Inventory sources of a policy. Scripts and plugins that ask other systems are left out: a revision is a digest, and
what it means must not change from one reading to the next."""

PASSED_ON = ("PATH", "HOME", "TMPDIR", "IMS_INSTANCE", "ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_IDENTITY_LIST")


class ReaderFailed(IMSError):
    """The policy could not be read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a tree says, as Ansible understands it. Only declared variables are rendered; of others we know the names.

    `settings` are the variables of the policy as a whole, `services` the host variables of each host in group
    `services`. `places` maps a dotted path (`healing_rules.0.match`, `services.web.url`) to where it was written.
    `names` holds the names of variables of each service beyond those of group_vars/all, and under "" those of all.
    """

    hosts: tuple[str, ...] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    overridden: tuple[str, ...] = ()
    unrendered: frozenset[str] = frozenset()
    playbooks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    places: Mapping[str, tuple[str, int | None, int | None]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    inventory: str = ""
    ansible: str = ""

    def fault(self, path: str, message: str) -> Fault:
        """A fault at a dotted path, placed at the nearest thing around it that Ansible knows the place of."""
        around = path
        while around and around not in self.places:
            around = around.rpartition(".")[0]
        file, line, column = self.places.get(around, (self.inventory, None, None))
        return Fault(file, line, column, path, message)


def read_tree(
    root: Path,
    inventory: str,
    *,
    settings: Sequence[str],
    service_variables: Sequence[str],
    environment: Mapping[str, str],
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Reading:
    """Read `inventory` (a path inside `root`), rendering the named variables of the policy and of its services.

    `environment` is the caller's; only PATH, HOME, TMPDIR and the names of vault password files are passed on.
    Raises `ReaderFailed` when the child crashes, takes longer than `deadline_seconds` or answers too much.
    """
    # The child meets no symbolic link above the tree, so every place it tells lies under `root` as given here.
    root = root.resolve()
    request = {
        "root": str(root),
        "inventory": inventory,
        "settings": list(settings),
        "service_variables": list(service_variables),
    }
    with tempfile.TemporaryDirectory(prefix="ims-policy-") as scratch:
        answer = _ask(request, _environment(root, Path(scratch), environment), Path(scratch), deadline_seconds)
    return _reading(root, inventory, answer)


def _environment(root: Path, scratch: Path, given: Mapping[str, str]) -> dict[str, str]:
    config = root / "ansible.cfg"
    if not config.is_file():
        # Otherwise Ansible would look for one in the home directory and in /etc.
        config = scratch / "ansible.cfg"
        config.touch()
    return {
        "PATH": os.defpath,
        **{name: given[name] for name in PASSED_ON if given.get(name)},
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_HOME": str(scratch / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(scratch / "tmp"),
        "ANSIBLE_LOG_PATH": os.devnull,
        "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.memory",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEVEL_WARNING": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_INVENTORY_ENABLED": ",".join(STATIC_INVENTORY_PLUGINS),
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1",
    }


def _ask(request: Mapping[str, Any], environment: Mapping[str, str], scratch: Path, seconds: float) -> dict[str, Any]:
    program = str(Path(__file__).with_name("reading_child.py"))
    child = subprocess.Popen(
        # -I: neither PYTHON* variables nor the current directory decide what is imported.
        [sys.executable, "-I", program, json.dumps(request)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=scratch,
        env=dict(environment),
        start_new_session=True,
    )
    try:
        answer, told = _collect(child, seconds)
    finally:
        _end(child)
    if child.returncode != 0:
        last = told.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise ReaderFailed(f"Ansible could not read the policy (exit {child.returncode}): {last[0][:500]}")
    try:
        parsed: dict[str, Any] = json.loads(answer)
    except ValueError as error:
        raise ReaderFailed("The reader of the policy gave no valid answer.") from error
    return parsed


def _collect(child: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes]:
    """Both outputs until their end. Standard output has a cap; of standard error the last part is kept."""
    answer, told = bytearray(), bytearray()
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for stream, into in ((child.stdout, answer), (child.stderr, told)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, into)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                raise ReaderFailed(f"Reading the policy took longer than {seconds:g} s and was ended.")
            for key, _ in ready:
                if chunk := os.read(key.fd, 65536):
                    key.data.extend(chunk)
                else:
                    selector.unregister(key.fileobj)
            del told[:-TOLD_BYTES]
            if len(answer) > ANSWER_BYTES:
                raise ReaderFailed(f"The policy renders to more than {ANSWER_BYTES} bytes and was not read.")
    try:
        child.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise ReaderFailed(f"Reading the policy took longer than {seconds:g} s and was ended.") from error
    return bytes(answer), bytes(told)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child's whole session: a lookup may have started programs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            stream.close()


def _reading(root: Path, inventory: str, answer: Mapping[str, Any]) -> Reading:
    places = {path: (_inside(root, file), line, column) for path, (file, line, column) in answer["places"].items()}
    faults = tuple(
        Fault(
            _inside(root, fault["file"]),
            fault["line"],
            fault["column"],
            fault["field"],
            fault["message"].replace(f"{root}/", "")[:1000],
        )
        for fault in answer["faults"]
    )
    return Reading(
        hosts=tuple(answer["hosts"]),
        groups=answer["groups"],
        settings=answer["settings"],
        services=answer["services"],
        names=answer["names"],
        overridden=tuple(answer["overridden"]),
        unrendered=frozenset(answer["unrendered"]),
        playbooks=answer["playbooks"],
        places=places,
        faults=faults,
        inventory=inventory,
        ansible=answer["ansible"],
    )


def _inside(root: Path, file: str) -> str:
    return file.removeprefix(f"{root}/")
