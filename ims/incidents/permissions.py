"""Who may act on an incident."""

from ims.core.errors import Forbidden


class NotYourIncident(Forbidden):
    """Only its team, its assignee and administrators may change this incident."""
