"""All tables of all domains, for migrations and for relations between domains."""

import ims.accounts.models
import ims.alerts.models
import ims.audit.models
import ims.healing.models
import ims.heartbeats.models
import ims.incidents.models
import ims.maintenance.models
import ims.policy.models
import ims.runs.models  # noqa: F401
from ims.db.base import Base

metadata = Base.metadata
