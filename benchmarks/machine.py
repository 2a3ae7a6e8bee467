"""What a figure was measured on."""

import os
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil


def describe(*versions: str) -> str:
    """One line: date, processor, cores, memory, system, Python, and what else had a version."""
    facts = [
        datetime.now(UTC).strftime("%Y-%m-%d"),
        f"{len(os.sched_getaffinity(0))} cores ({_processor()})",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        _system(),
        f"Python {sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}",
        *versions,
    ]
    return ", ".join(facts)


def _processor() -> str:
    found = re.search(r"(?m)^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found.group(1) if found else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()
