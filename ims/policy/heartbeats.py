"""Heartbeats that are expected: a sign of life that somebody sends again and again."""

from typing import Literal

from pydantic import Field, StrictStr

from ims.policy.parts import Name, PolicyPart

MONTH = 31 * 86400


class Heartbeat(PolicyPart):
    """A sign of life, and the alert when it does not come."""

    name: Name
    """Where it is sent: `/heartbeats/<name>`."""
    every: float = Field(ge=1, le=MONTH)
    """Seconds between two of them."""
    grace: float = Field(default=30, ge=0, le=MONTH)
    """Seconds that one may be late."""
    source: StrictStr | None = None
    """The only source whose tokens may send it; without one, any."""
    service: Name | None = None
    """The service that the alert is about."""
    severity: Literal["critical", "high", "medium", "low"] = "high"
