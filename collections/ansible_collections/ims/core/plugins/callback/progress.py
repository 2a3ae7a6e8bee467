"""Ansible callback: progress for a person who waits."""

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
short_description: One line a play, and one sentence for a failure
description:
  - Writes the name of each play, and the message of a failed task, to a file descriptor of its own, so that the
    detailed output can go to a log.
options:
  descriptor:
    description: Number of the open file descriptor to write to; nothing is written without it.
    env:
      - name: IMS_PROGRESS_FD
author: The IMS authors
"""


def reason(result: Mapping[str, Any]) -> str:
    """Why a task failed, in a line: its message, and the last thing that a command said."""
    for item in result.get("results", []):
        if item.get("failed"):
            return reason(item)
    message = str(result.get("msg", "the log has the details"))
    said = str(result.get("stderr", "")).strip().splitlines()
    return f"{message}: {said[-1]}" if said else message


class CallbackModule(CallbackBase):
    """Tells plays and failures; everything else is the business of the log."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "ims.core.progress"
    CALLBACK_NEEDS_ENABLED = True

    def say(self, line: str) -> None:
        """Write one line; a reader that went away must not stop the play."""
        descriptor = os.environ.get("IMS_PROGRESS_FD", "")
        if descriptor.isdigit():
            try:
                os.write(int(descriptor), f"{line}\n".encode())
            except OSError:
                return

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """A new step begins."""
        self.say(f"  - {play.get_name().strip()}")

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        """A task failed for good: say why."""
        if not ignore_errors:
            self.say(f"    {result.task.get_name().strip()}: {reason(result.result)}")

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        """A machine could not be reached."""
        self.v2_runner_on_failed(result)
