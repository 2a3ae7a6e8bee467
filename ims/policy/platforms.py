"""The platforms that can run a service: those for which the role `managed_service` has tasks."""

import re
from collections.abc import Collection
from typing import Final

SHIPPED: Final = ("supervisor",)
"""Platforms of the role that comes with IMS; a test compares them with the role's files."""
PLATFORM_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]*")
"""Names of platforms. Variables of the role begin with them, so they must not contain a hyphen."""
_TASKS: Final = re.compile(rf"roles/managed_service/tasks/platforms/({PLATFORM_PATTERN.pattern})\.yml")


def platforms_of(files: Collection[str]) -> list[str]:
    """The platforms of a policy tree with these files: those of its own role, or the shipped ones if it has no role.

    A tree without the role heals with other playbooks; then the shipped names only serve to find misspelt platforms.
    """
    own = [found[1] for path in files if (found := _TASKS.fullmatch(path))]
    return sorted(own) or list(SHIPPED)


def unknown_platform(platform: str, platforms: Collection[str]) -> str:
    """The fault message for a `platform` that is not one of `platforms`, with the remedy."""
    remedy = (
        f"or add roles/managed_service/tasks/platforms/{platform}.yml."
        if PLATFORM_PATTERN.fullmatch(platform)
        else "or add one whose name consists of a-z, 0-9 and underscores and begins with a letter."
    )
    return (
        f"{platform!r} is not a platform of the role managed_service, which has: {', '.join(platforms)}. "
        f"Use one of them, {remedy}"
    )
