"""The environment of a run, built from scratch, so that no secret of the worker reaches a playbook."""

import os
import pwd
import sys
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import Final

from ims.policy.reader import STATIC_INVENTORY_PLUGINS
from ims.runs.processes import RUN_ID, RUN_OWNER, TEMPORARY, this_process
from ims.runs.request import RunContext

HOME: Final = "home"
ANSIBLE_HOME: Final = "ansible"
DIRECTORIES: Final = (HOME, ANSIBLE_HOME)
"""Directories below the run's directory, removed with it."""
CONTROL_PATHS: Final = "cp"
"""Below the short directory: sockets of persistent SSH connections."""
EMPTY_CFG: Final = "ansible.cfg"

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Ansible copies modules, including their arguments, below this directory. Its default is the home in the user database.
# $HOME is the run's home on a local host, which is removed with the run, and the same as the default on other hosts.
_REMOTE_TMP = "$HOME/.ansible/tmp"


def build_environment(run_context: RunContext, directory: Path, mark: str) -> dict[str, str]:
    """Return the whole environment of the run that works in ``directory``. ``mark`` is its id.

    Ansible writes all its files below the directory, because the home of the worker's user may be read-only and because
    the files of a killed module may contain secrets. The environment of ``run_context`` is added.
    """
    user = pwd.getpwuid(os.getuid()).pw_name
    temporary = (directory / TEMPORARY).resolve()
    config = _config_file(run_context, directory)
    remote = {} if _sets_remote_tmp(config) else {"ANSIBLE_REMOTE_TMP": _REMOTE_TMP}
    return {
        "PATH": f"{Path(sys.executable).parent}:{_SYSTEM_PATH}",
        "HOME": str(directory / HOME),
        "USER": user,
        "LOGNAME": user,
        "TMPDIR": str(temporary),
        # Ansible refuses to start without a UTF-8 locale.
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm-256color",
        "ANSIBLE_CONFIG": str(config),
        "ANSIBLE_HOME": str(directory / ANSIBLE_HOME),
        "ANSIBLE_LOCAL_TEMP": str(temporary),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(temporary / CONTROL_PATHS),
        "ANSIBLE_FORCE_COLOR": "1",
        # A partly parsed inventory would mean a run with the wrong variables.
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        # As when the policy was read: a revision's inventory runs no scripts and queries no other system.
        "ANSIBLE_INVENTORY_ENABLED": ",".join(STATIC_INVENTORY_PLUGINS),
        # ansible-runner's callback drops a larger result; its output is still kept.
        "MAX_EVENT_RES": "200000",
        **remote,
        **run_context.environment,
        RUN_ID: mark,
        RUN_OWNER: this_process().mark(),
    }


def _config_file(run_context: RunContext, directory: Path) -> Path:
    """Return the policy's ansible.cfg, else an empty one, so that no file of the user or the machine is read."""
    own = run_context.policy_root / run_context.ansible_cfg
    return own if own.is_file() else directory / EMPTY_CFG


def _sets_remote_tmp(config: Path) -> bool:
    """Return whether the policy sets remote_tmp: the environment would override it."""
    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read(config, encoding="utf-8")
    except (ConfigParserError, UnicodeDecodeError):
        return False  # Ansible will report the error
    return parser.has_option("defaults", "remote_tmp")
