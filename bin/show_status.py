"""Show every program of this installation and its health. With the argument `summary`: show what to do next.

The installation's own Python runs it, with IMS_STATE_DIR set. Exit 0 if everything is healthy, 1 otherwise.
"""

from __future__ import annotations

import configparser
import json
import os
import sys
import urllib.error
import urllib.request
import xmlrpc.client
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

TIMEOUT = 3  # seconds for one response
HEALTHY = "healthy"


def programs(state: Path) -> list[dict[str, Any]]:
    """The process info of each program as supervisord reports it; empty if supervisord does not answer."""
    parser = configparser.RawConfigParser()
    parser.read(state / "supervisor" / "supervisord.conf")
    url = parser.get("supervisorctl", "serverurl", fallback="unix:///nonexistent")
    proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", SupervisorTransport(None, None, url))
    try:
        answer: Any = proxy.supervisor.getAllProcessInfo()
    except OSError:
        return []
    return list(answer)


def probe(url: str) -> str:
    """`healthy`, or the reason why the URL is not."""
    # Never through a proxy: these are addresses of this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT):
            return HEALTHY
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except OSError:
        return "no answer"


def show(state: Path, platform: dict[str, Any]) -> int:
    """Print the table of programs and the table of health checks; return the exit code."""
    found = programs(state)
    if not found:
        sys.stdout.write(f"Nothing is running: supervisord of {state} does not answer. `make up` starts it.\n")
        return 1
    healthy = True
    for program in found:
        healthy = healthy and program["statename"] == "RUNNING"
        sys.stdout.write(f"{program['name']:<18} {program['statename']:<9} {program['description']}\n")
    sys.stdout.write("\n")
    for name, url in platform["health"].items():
        status = probe(url)
        healthy = healthy and status == HEALTHY
        sys.stdout.write(f"{name:<18} {status:<9} {url}\n")
    return 0 if healthy else 1


def summarise(state: Path, platform: dict[str, Any]) -> int:
    """Print the URLs, how to sign in and how to stop; never the password itself."""
    sys.stdout.write("\nIMS is up.\n")
    for name, url in platform["pages"].items():
        sys.stdout.write(f"  {name:<14} {url}\n")
    sys.stdout.write(f"  {'sign in as':<14} {platform['admin']}, password in {state / 'secrets' / 'admin_password'}\n")
    sys.stdout.write("  make demo      kills the IMS web process and shows how IMS heals it\n")
    sys.stdout.write("  make down      stops everything\n")
    return 0


def main() -> int:
    state = Path(os.environ["IMS_STATE_DIR"])
    try:
        platform = json.loads((state / "platform.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        sys.stdout.write(f"Nothing is installed in {state}; `make up` installs it.\n")
        return 1
    return summarise(state, platform) if sys.argv[1:] == ["summary"] else show(state, platform)


if __name__ == "__main__":
    sys.exit(main())
