"""Which platforms can carry a service: those for which the role `managed_service` has tasks."""

import re
from collections.abc import Collection
from typing import Final

SHIPPED: Final = ("supervisor",)
"""Platforms of the role as IMS ships it; a test compares them with the role's files."""
_TASKS: Final = re.compile(r"roles/managed_service/tasks/platforms/([a-z0-9_]+)\.yml")


def platforms_of(files: Collection[str]) -> list[str]:
    """The platforms of a policy tree with these files: its own role's, or the shipped ones when it brings no such role.

    A tree without the role heals with playbooks of its own; then the shipped names only keep slips of the pen out.
    """
    own = [found[1] for path in files if (found := _TASKS.fullmatch(path))]
    return sorted(own) or list(SHIPPED)
