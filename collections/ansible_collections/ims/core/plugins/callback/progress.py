"""Ansible callback: print the progress of a playbook, one line per play."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible.plugins.callback import CallbackBase

if TYPE_CHECKING:
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.playbook.play import Play

DOCUMENTATION = """
name: progress
type: aggregate
short_description: Print one line per play, and the message of a failed task
description:
  - Writes the name of each play, and the message of a failed task, to a separate file descriptor, so that the
    detailed output can go to a log.
options:
  descriptor:
    description: Number of the open file descriptor to write to. Without it the callback writes nothing.
    env:
      - name: IMS_PROGRESS_FD
author: The IMS authors
"""


def reason(result: Mapping[str, Any]) -> str:
    """Why a task failed, in one line: its message, and the last line that a command wrote to standard error."""
    for item in result.get("results", []):
        if item.get("failed"):
            return reason(item)
    message = str(result.get("msg", "the details are in the log"))
    errors = str(result.get("stderr", "")).strip().splitlines()
    return f"{message}: {errors[-1]}" if errors else message


class CallbackModule(CallbackBase):
    """Prints plays and failures; everything else goes to the log only."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "ims.core.progress"
    CALLBACK_NEEDS_ENABLED = True

    def write_line(self, line: str) -> None:
        """Write one line. A closed reader must not stop the play."""
        descriptor = os.environ.get("IMS_PROGRESS_FD", "")
        if descriptor.isdigit():
            try:
                os.write(int(descriptor), f"{line}\n".encode())
            except OSError:
                return

    def v2_playbook_on_play_start(self, play: Play) -> None:
        self.write_line(f"  - {play.get_name().strip()}")

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            self.write_line(f"    {result.task.get_name().strip()}: {reason(result.result)}")

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        self.v2_runner_on_failed(result)
