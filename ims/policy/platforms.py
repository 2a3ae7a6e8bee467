"""Which platforms can carry a service: those for which the role `managed_service` has tasks."""

import re
from collections.abc import Collection
from typing import Final

SHIPPED: Final = ("supervisor",)
"""Platforms of the role as IMS ships it; a test compares them with the role's files."""
PLATFORM_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]*")
"""Names of platforms: variables of the role begin with them, so there is no hyphen in one."""
_TASKS: Final = re.compile(rf"roles/managed_service/tasks/platforms/({PLATFORM_PATTERN.pattern})\.yml")


def platforms_of(files: Collection[str]) -> list[str]:
    """The platforms of a policy tree with these files: its own role's, or the shipped ones when it brings no such role.

    A tree without the role heals with playbooks of its own; then the shipped names only keep slips of the pen out.
    """
    own = [found[1] for path in files if (found := _TASKS.fullmatch(path))]
    return sorted(own) or list(SHIPPED)


def no_platform(platform: str, platforms: Collection[str]) -> str:
    """What is wrong with naming `platform` where there are only `platforms`, and the remedy."""
    remedy = (
        f"or add roles/managed_service/tasks/platforms/{platform}.yml."
        if PLATFORM_PATTERN.fullmatch(platform)
        else "or add one whose name has only a-z, 0-9 and underscores and begins with a letter."
    )
    return (
        f"{platform!r} is no platform of the role managed_service, which has: {', '.join(platforms)}. "
        f"Name one of them, {remedy}"
    )
