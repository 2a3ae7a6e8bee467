"""ansible-playbook as a fork of the run's child, which has imported Ansible before.

Most of the time from the claim of a run to its first task goes into the start of Python, the imports of Ansible and the
packing of a module. A warm runner does all of it ahead of time (``ims.runs.supervision.warm``); its fork inherits it.

Ansible reads its configuration when it is imported. So ``import_ansible`` is given the environment of the playbook. A
playbook with any other environment gets a new interpreter, and so does a playbook after a failed import: then
ansible-playbook itself reports in the run's log what is wrong, for instance with the policy's ansible.cfg.
"""

import atexit
import contextlib
import io
import os
import pty
import signal
import sys
import termios
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import pexpect
from ptyprocess import PtyProcess

from ims.runs.processes import RUN_ID, rename
from ims.runs.supervision.launch import play

TITLE: Final = "ansible-playbook"
"""Name of the fork in the process table; the kernel keeps 15 characters."""

_PLUGINS: Final = {
    "callback": ("default",),
    "become": ("sudo",),
    "connection": ("local", "ssh"),
    "inventory": ("auto", "ini", "yaml"),
    "shell": ("sh",),
    "strategy": ("linear",),
    "action": ("command", "normal"),
}
"""Plugins that nearly every playbook loads. Only ansible.builtin: this process must not load code of the policy."""


_MODULES: Final = tuple(f"ansible.builtin.{name}" for name in ("command", "setup", "systemd", "uri"))
"""Modules of most healing playbooks; packing takes a tenth of a second each, for some two tenths."""


def import_ansible(environment: Mapping[str, str]) -> bool:
    """Import Ansible as a playbook with this environment would; return whether that succeeded.

    The output of a failed import goes to standard error.
    """
    try:
        with _in(environment):
            import_module("ansible.cli.playbook")
            import_module("ansible.executor.playbook_executor")
            loaders = import_module("ansible.plugins.loader")
            loaders.init_plugin_loader()
            for kind, names in _PLUGINS.items():
                for name in names:
                    getattr(loaders, f"{kind}_loader").get(f"ansible.builtin.{name}", class_only=True)
    except (Exception, SystemExit):  # noqa: BLE001 - Ansible ends the process when its configuration is faulty
        return False
    return True


def pack_modules(environment: Mapping[str, str]) -> None:
    """Pack the usual modules with their imports, as Ansible does before it sends a module to a host for the first time.

    Ansible keeps them in the run's own temporary directory. Call this after `import_ansible`. Raises any exception if
    Ansible's internal function has changed; then Ansible packs each module when it is needed, as usual.
    """
    pack = import_module("ansible.executor.module_common").modify_module
    loaders = import_module("ansible.plugins.loader")
    compression = import_module("ansible.constants").DEFAULT_MODULE_COMPRESSION
    templar = import_module("ansible.template").Templar(import_module("ansible.parsing.dataloader").DataLoader())
    with _in(environment):
        for name in _MODULES:
            pack(
                module_name=name,
                module_path=loaders.module_loader.find_plugin(name),
                module_args={},
                templar=templar,
                task_vars={"ansible_python_interpreter": sys.executable},
                module_compression=compression,
            )


@contextlib.contextmanager
def _in(environment: Mapping[str, str]) -> Iterator[None]:
    """Use this environment within the block."""
    own = dict(os.environ)
    _take_environment(environment)
    try:
        yield
    finally:
        _take_environment(own)


def _take_environment(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


class Forking(pexpect.spawn):  # type: ignore[misc] # pexpect is not typed
    """A pexpect terminal that runs a fork of this process instead of the command, if the fork is equivalent to it.

    ``prepared`` is the environment with which Ansible was imported, None if it was not. ``launcher`` is the beginning,
    before the arguments of ansible-playbook, of a command that a fork may replace. The fork first calls ``leave``,
    which releases what belongs to this process only.
    """

    prepared: Mapping[str, str] | None = None
    launcher: Sequence[str] = ()
    leave: Callable[[], None]

    def _spawnpty(self, args: Sequence[bytes], **options: Any) -> PtyProcess:
        command, length = [os.fsdecode(arg) for arg in args], len(self.launcher)
        if not self._is_prepared_for(options["env"]) or command[:length] != [*self.launcher]:
            return super()._spawnpty(args, **options)
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid, terminal = pty.fork()
        if pid == 0:
            _be_playbook(parent, command[length:], type(self).leave, options["env"], options["cwd"])
        process = PtyProcess(pid, terminal)
        with contextlib.suppress(OSError, termios.error):
            process.setecho(options["echo"])
        return process

    def _is_prepared_for(self, environment: Mapping[str, str]) -> bool:
        # Ansible does not use the mark, which a warm runner got before it had a run.
        return self.prepared is not None and {**environment, RUN_ID: ""} == {**self.prepared, RUN_ID: ""}


def _be_playbook(
    parent: int,
    arguments: Sequence[str],
    leave: Callable[[], None],
    environment: Mapping[str, str],
    directory: str,
) -> NoReturn:
    """Run ansible-playbook and exit as a separate interpreter would; never return to the caller."""
    code = 1
    try:
        leave()
        _take_environment(environment)
        os.chdir(directory)
        rename(TITLE)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(line_buffering=True)  # as on every terminal
        # Ansible's own command line configures the finder again, which changes nothing but causes a warning.
        warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
        play(parent, arguments)
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:  # noqa: BLE001 - no exception may reach the code of the run's child above
        traceback.print_exc()
    finally:
        # As the standard library's multiprocessing ends its forks.
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _exit_code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    sys.stderr.write(f"{end.code}\n")
    return 1
