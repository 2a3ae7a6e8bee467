"""How bad an alert or an incident is."""

from enum import StrEnum


class Severity(StrEnum):
    """How bad an alert or an incident is, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"
