"""Directories of IMS on this machine. Imports almost nothing, since the command `ims` needs it at every start."""

import os
from pathlib import Path


def default_state_dir() -> Path:
    """The state directory unless `IMS_STATE_DIR` names another; it depends on the account, as the README says."""
    return Path("/var/lib/ims") if os.geteuid() == 0 else Path.home() / ".local/state/ims"
