"""Where IMS keeps things on this machine; imports nothing, for the command needs it at every start."""

import os
from pathlib import Path


def default_state_dir() -> Path:
    """Where IMS keeps its state unless `IMS_STATE_DIR` says otherwise: by account, as documented in the README."""
    return Path("/var/lib/ims") if os.geteuid() == 0 else Path.home() / ".local/state/ims"
