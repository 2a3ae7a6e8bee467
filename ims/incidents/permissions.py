"""Who may act on an incident."""

from ims.core.errors import Forbidden
from ims.core.principal import Principal
from ims.incidents.models import Incident


class NotYourIncident(Forbidden):
    """Only its team, its assignee and administrators may change this incident."""


def require_may_act_on(principal: Principal, incident: Incident) -> None:
    """Raises `NotYourIncident` unless the principal may act on an incident of this team and assignee."""
    if not principal.may_act_on(incident.team, incident.assignee):
        raise NotYourIncident
