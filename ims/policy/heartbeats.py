"""Expected heartbeats: requests that a sender repeats at an interval."""

from typing import Literal

from pydantic import Field, StrictStr

from ims.policy.parts import Name, PolicyPart

MONTH = 31 * 86400


class Heartbeat(PolicyPart):
    """An expected heartbeat, and the alert that IMS raises if it is missing."""

    name: Name
    """The sender posts to `/heartbeats/<name>`."""
    every: float = Field(ge=1, le=MONTH)
    """Seconds between two heartbeats."""
    grace: float = Field(default=30, ge=0, le=MONTH)
    """Seconds that a heartbeat may be late."""
    source: StrictStr | None = None
    """The only source whose tokens may send the heartbeat; None: any source."""
    service: Name | None = None
    """The service of the alert."""
    severity: Literal["critical", "high", "medium", "low"] = "high"
