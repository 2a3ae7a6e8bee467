"""The environment of a run: what a check of its policy has too, and where all that Ansible writes goes."""

from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import Final

from ims.policy.environment import ANSIBLE_CFG, account_home, ansible_environment
from ims.runs.processes import RUN_ID, RUN_OWNER, TEMPORARY, this_process
from ims.runs.request import RunContext

CONTROL_PATHS: Final = "cp"
"""Below the short directory: sockets of SSH connections that are kept."""
PERSISTENT_PATHS: Final = "pc"
"""Below the short directory: sockets of connections to network devices that are kept."""
EMPTY_CFG: Final = ANSIBLE_CFG
"""Below the run's directory, for a policy without an ansible.cfg."""

# For an account without a home: Ansible's own default is the home that the user database names, where this is the run's
# directory on a local host, and the same as the default elsewhere.
_REMOTE_TMP = "$HOME/.ansible/tmp"


def build_environment(run_context: RunContext, directory: Path, mark: str) -> dict[str, str]:
    """Return the whole environment of the run that works in ``directory``. ``mark`` is its id.

    It is made from nothing, so that no secret of the worker reaches a playbook. HOME is the account's, as for
    ansible-playbook by hand, but what Ansible itself writes lands below the directory and goes with the run. The
    additions of the run_context come on top.
    """
    temporary = (directory / TEMPORARY).resolve()
    common = ansible_environment(run_context.policy_root, directory, ansible_cfg=run_context.ansible_cfg)
    return {
        **common,
        "TMPDIR": str(temporary),
        "TERM": "xterm-256color",
        "ANSIBLE_LOCAL_TEMP": str(temporary),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(temporary / CONTROL_PATHS),
        "ANSIBLE_PERSISTENT_CONTROL_PATH_DIR": str(temporary / PERSISTENT_PATHS),
        "ANSIBLE_FORCE_COLOR": "1",
        # ansible-core 2.21 leaves a task's arguments out of its result: whether a lost request may have changed
        # something depends on its method.
        "ANSIBLE_INJECT_INVOCATION": "1",
        # ansible-runner's callback drops a larger result; its output is kept all the same.
        "MAX_EVENT_RES": "200000",
        **_remote_tmp(Path(common["ANSIBLE_CONFIG"])),
        **run_context.environment,
        RUN_ID: mark,
        RUN_OWNER: this_process().mark(),
    }


def _remote_tmp(config: Path) -> dict[str, str]:
    if account_home() is not None or _sets_remote_tmp(config):
        return {}
    return {"ANSIBLE_REMOTE_TMP": _REMOTE_TMP}


def _sets_remote_tmp(config: Path) -> bool:
    """Return whether the policy sets remote_tmp: the environment would override it."""
    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read(config, encoding="utf-8")
    except (ConfigParserError, UnicodeDecodeError):
        return False  # Ansible will report the error
    return parser.has_option("defaults", "remote_tmp")
