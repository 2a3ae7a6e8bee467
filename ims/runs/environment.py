"""The environment of a run: made from nothing, so that no secret of the worker reaches a playbook."""

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
"""Below the run's directory; all of them vanish with it."""
CONTROL_PATHS: Final = "cp"
"""Below the short directory: sockets of SSH connections that are kept."""
EMPTY_CFG: Final = "ansible.cfg"

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Modules are copied below this directory, arguments included. Ansible's own default is the home that the user database
# names. This is the run's home on a local host, where it vanishes with the run, and the same as the default elsewhere.
_REMOTE_TMP = "$HOME/.ansible/tmp"


def build_environment(run_context: RunContext, directory: Path, mark: str) -> dict[str, str]:
    """Return the whole environment of the run that works in ``directory``. ``mark`` is its id.

    Everything that Ansible writes lands below the directory, because the home of the worker's user may be read-only and
    because what a killed module leaves behind may hold secrets. The additions of the run_context come on top.
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
        # Half an inventory would be a run with the wrong variables.
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        # As when the policy was read: a revision's inventory runs no scripts and asks no other system.
        "ANSIBLE_INVENTORY_ENABLED": ",".join(STATIC_INVENTORY_PLUGINS),
        # ansible-runner's callback drops a larger result; its output is kept all the same.
        "MAX_EVENT_RES": "200000",
        **remote,
        **run_context.environment,
        RUN_ID: mark,
        RUN_OWNER: this_process().mark(),
    }


def _config_file(run_context: RunContext, directory: Path) -> Path:
    """Return the policy's own ansible.cfg, else an empty one, so that no file of the user or the machine is read."""
    own = run_context.policy_root / run_context.ansible_cfg
    return own if own.is_file() else directory / EMPTY_CFG


def _sets_remote_tmp(config: Path) -> bool:
    """Return whether the policy chose the directory itself: the environment would overrule it."""
    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read(config, encoding="utf-8")
    except (ConfigParserError, UnicodeDecodeError):
        return False  # Ansible will say what is wrong with it
    return parser.has_option("defaults", "remote_tmp")
