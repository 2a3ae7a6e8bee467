"""Become ansible-playbook, in a process that cannot outlive the run's child.

ansible-playbook gets a SIGTERM when the run's child ends, and each of its workers gets one when ansible-playbook ends.
On SIGTERM Ansible's workers, each the leader of a session of its own, stop the modules they started. So kill -9 of any
process of the chain stops what is below it, even when no other process is left to do so.

The run's child imports Ansible and forks: see ``ims.runs.supervision.fork``.
``python -m ims.runs.supervision.launch <parent> <arguments>`` does the same in a new interpreter, if a fork is not
possible.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ims.runs.processes import die_with_parent
from ims.runs.supervision.module_files import note_forks


def play(parent: int, arguments: Sequence[str]) -> None:
    """Bind this process and its forks to their parents, then be ansible-playbook.

    Raises SystemExit with its exit code. ``parent`` is the number of the process that must still be the parent.
    """
    die_with_parent(signal.SIGTERM, parent=parent)
    _close_stdin()
    _bind_forks()
    sys.argv = ["ansible-playbook", *arguments]
    from ansible.cli.playbook import main as ansible_playbook
    from ansible.plugins.loader import add_all_plugin_dirs

    # Plugins beside site.yml, by which the inventory may be written, for a playbook further below: see `reading_child`.
    add_all_plugin_dirs(str(Path.cwd()))
    ansible_playbook()


def _close_stdin() -> None:
    """Replace the terminal as standard input: a prompt must fail at once instead of waiting for the deadline."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _bind_forks() -> None:
    forking = [os.getpid()]

    def remember_who_forks() -> None:
        forking[0] = os.getpid()

    note = note_forks()

    def bind() -> None:
        die_with_parent(signal.SIGTERM, parent=forking[0])
        note()

    os.register_at_fork(before=remember_who_forks, after_in_child=bind)


if __name__ == "__main__":
    play(int(sys.argv[1]), sys.argv[2:])
