"""The environment in which Ansible reads and runs a policy, made from nothing: the same for a check and for a run.

What only one of them has would mean one thing when the policy is checked and another when it runs. So both take it
from here: the home that `~` means, the programs that a lookup finds, the ansible.cfg that counts. Each adds where it
may write.
"""

import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ANSIBLE_CFG: Final = "ansible.cfg"

STATIC_INVENTORY_PLUGINS: Final = (
    "ansible.builtin.yaml",
    "ansible.builtin.ini",
    "ansible.builtin.toml",
    "ansible.builtin.constructed",
)
"""Inventory sources of a policy. Scripts and plugins that ask other systems are left out: a revision is a digest, and
what it means must not change from one reading to the next."""

VAULT_VARIABLES: Final = ("ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_IDENTITY_LIST")
"""What a shell may name vault passwords by. Neither a check nor a run takes them: the policy's ansible.cfg says where a
password is, so that whoever reads the policy finds the same one."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def account_home() -> Path | None:
    """Return the home of the account of this process; None if there is no such directory.

    The user database says it and not HOME: ssh asks the database, too, and so does Ansible for the results of a task
    with `async`. HOME counts only for an account that the database does not know, as in some containers.
    """
    return home_of(_entry(), os.environ)


def home_of(entry: pwd.struct_passwd | None, environment: Mapping[str, str]) -> Path | None:
    """Return the home that an entry of the user database, or without one the environment, names if it is there."""
    home = entry.pw_dir if entry else environment.get("HOME", "")
    return Path(home) if home and Path(home).is_dir() else None


def ansible_environment(policy_root: Path, scratch: Path, *, ansible_cfg: str = ANSIBLE_CFG) -> dict[str, str]:
    """Return what a check and a run of the policy in `policy_root` have in common.

    `scratch` is a directory of their own. An empty `ansible.cfg` must be there, for a policy without one: otherwise
    Ansible would look for one in the home directory and in /etc. It is the home of an account that has none.
    """
    own = policy_root / ansible_cfg
    entry = _entry()
    user = entry.pw_name if entry else str(os.getuid())
    return {
        "PATH": f"{Path(sys.executable).parent}:{_SYSTEM_PATH}",
        "HOME": str(account_home() or scratch),
        "USER": user,
        "LOGNAME": user,
        # Ansible refuses to start without a UTF-8 locale.
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(own if own.is_file() else scratch / ANSIBLE_CFG),
        # Half an inventory would be a run with the wrong variables.
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        "ANSIBLE_INVENTORY_ENABLED": ",".join(STATIC_INVENTORY_PLUGINS),
    }


def _entry() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        return None
