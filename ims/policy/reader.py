"""Read a policy tree with Ansible in a child process: the unvalidated variables, with the position of each.

The child has its own environment, no standard input, a deadline and a limit on the size of its answer; it is killed
together with every process it started. Ansible reads the policy instead of a YAML parser, because templates, group
precedence and vault must mean the same here as in a run.
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
from ims.policy.environment import ANSIBLE_CFG, VAULT_VARIABLES, ansible_environment
from ims.policy.faults import Fault

DEADLINE_SECONDS = 120.0
ANSWER_BYTES = 64 * 1024 * 1024
ERROR_BYTES = 64 * 1024

PASSED_ON = ("IMS_INSTANCE", "IMS_STATE_DIR", "TMPDIR")
"""What a check takes from its caller's environment; a run has its own values."""


class ReaderFailed(IMSError):
    """The policy could not be read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of a tree as Ansible reads it. Only declared variables are rendered; the others are known by name.

    `settings` are the variables of the policy as a whole, `services` the host variables of each host in group
    `services`. `places` maps a dotted path (`healing_rules.0.match`, `services.web.url`) to its file, line and column.
    `names` has the names of each service's variables that are not in group_vars/all, and under "" those of
    group_vars/all.
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
    warnings: tuple[Fault, ...] = ()
    inventory: str = ""
    ansible: str = ""

    def fault(self, path: str, message: str) -> Fault:
        """A fault at a dotted path, with the position of the innermost enclosing value whose position is known."""
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
    """Read `inventory` (a path inside `root`) and render the named variables of the policy and of its services.

    `environment` is the caller's; only the variables in `PASSED_ON` are passed on, the rest is as in a run.
    Raises `ReaderFailed` if the child crashes, takes longer than `deadline_seconds` or its answer is too large.
    """
    # With symbolic links resolved, every path that the child reports begins with `root`.
    root = root.resolve()
    request = {
        "root": str(root),
        "inventory": inventory,
        "settings": list(settings),
        "service_variables": list(service_variables),
        "vault_variables": [name for name in VAULT_VARIABLES if environment.get(name)],
    }
    with tempfile.TemporaryDirectory(prefix="ims-policy-") as scratch:
        answer = _run_child(request, _environment(root, Path(scratch), environment), Path(scratch), deadline_seconds)
    return _reading(root, inventory, answer)


def _environment(root: Path, scratch: Path, given: Mapping[str, str]) -> dict[str, str]:
    (scratch / ANSIBLE_CFG).touch()
    return {
        **ansible_environment(root, scratch),
        **{name: given[name] for name in PASSED_ON if given.get(name)},
        "ANSIBLE_LOCAL_TEMP": str(scratch / "tmp"),
        "ANSIBLE_LOG_PATH": os.devnull,
        "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.memory",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEVEL_WARNING": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1",
    }


def _run_child(
    request: Mapping[str, Any], environment: Mapping[str, str], scratch: Path, seconds: float
) -> dict[str, Any]:
    child = subprocess.Popen(
        # -I: neither PYTHON* variables nor the current directory influence imports.
        [sys.executable, "-I", "-m", "ims.policy.reading_child", json.dumps(request)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=scratch,
        env=dict(environment),
        start_new_session=True,
    )
    try:
        answer, errors = _collect(child, seconds)
    finally:
        _end(child)
    if child.returncode != 0:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise ReaderFailed(f"Ansible could not read the policy (exit {child.returncode}): {last[0][:500]}")
    try:
        parsed: dict[str, Any] = json.loads(answer)
    except ValueError as error:
        raise ReaderFailed("The process that reads the policy did not return valid JSON.") from error
    return parsed


def _collect(child: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes]:
    """Standard output, up to a limit, and the last part of standard error, both read to their end."""
    answer, errors = bytearray(), bytearray()
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for stream, into in ((child.stdout, answer), (child.stderr, errors)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, into)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                raise ReaderFailed(f"Reading the policy took longer than {seconds:g} s and was stopped.")
            for key, _ in ready:
                if chunk := os.read(key.fd, 65536):
                    key.data.extend(chunk)
                else:
                    selector.unregister(key.fileobj)
            del errors[:-ERROR_BYTES]
            if len(answer) > ANSWER_BYTES:
                raise ReaderFailed(f"The rendered policy is larger than {ANSWER_BYTES} bytes and was not read.")
    try:
        child.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise ReaderFailed(f"Reading the policy took longer than {seconds:g} s and was stopped.") from error
    return bytes(answer), bytes(errors)


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
        faults=_findings(root, answer["faults"]),
        warnings=_findings(root, answer["warnings"]),
        inventory=inventory,
        ansible=answer["ansible"],
    )


def _findings(root: Path, given: Sequence[Mapping[str, Any]]) -> tuple[Fault, ...]:
    return tuple(
        Fault(
            _inside(root, found["file"]),
            found["line"],
            found["column"],
            found["field"],
            found["message"].replace(f"{root}/", "")[:1000],
        )
        for found in given
    )


def _inside(root: Path, file: str) -> str:
    return file.removeprefix(f"{root}/")
