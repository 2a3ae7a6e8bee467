"""The severity of alerts and incidents."""

from enum import StrEnum


class Severity(StrEnum):
    """The severity of an alert or an incident, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"
