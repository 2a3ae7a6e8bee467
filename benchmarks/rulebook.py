"""ansible-rulebook, the product we compare the start of a healing with: from PyPI, with its own webhook source."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.programs import cached_environment, free_environment, running, wait_for_answer
from tests.support.postgres import free_port

VERSION = "1.3.2"
PLAYBOOK = "restart_service.yml"
RULEBOOK = """\
- name: Heal
  hosts: services
  sources:
    - eda.builtin.webhook:
        host: 127.0.0.1
        port: {port}
      filters:
        - eda.builtin.insert_hosts_to_meta:
            host_path: payload/alerts/0/labels/service
            path_separator: /
  rules:
    - name: restart-a-dead-service
      condition: event.payload.commonLabels.alertname == "ServiceDown"
      action:
        run_playbook:
          name: {playbook}
"""


@contextlib.contextmanager
def ansible_rulebook(directory: Path, *, inventory: Path, playbook: Path, ansible: str) -> Iterator[str]:
    """It, listening, with a rule for every ServiceDown; yields the URL for alerts. `ansible` is the core's version.

    Its documentation wants a JDK of 17 or newer and finds it by `java` on PATH.
    """
    environment = cached_environment(
        "ansible-rulebook", f"ansible-rulebook=={VERSION}", f"ansible-core=={ansible}", "ansible-runner"
    )
    port, log, rulebook = free_port(), directory / "rulebook.log", directory / "rulebook.yml"
    rulebook.write_text(RULEBOOK.format(port=port, playbook=playbook))
    variables = free_environment()
    variables |= {"PATH": f"{environment}/bin:{variables['PATH']}", "HOME": str(directory)}
    command: list[str | Path] = [environment / "bin/ansible-rulebook", "--rulebook", rulebook, "--inventory", inventory]
    with running(command, log=log, environment=variables, cwd=directory) as process:
        wait_for_answer(process, f"http://127.0.0.1:{port}/", log, seconds=120)
        yield f"http://127.0.0.1:{port}/endpoint"
