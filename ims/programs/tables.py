"""All tables of all domains, for comparing the models with the database."""

import ims.accounts.models
import ims.alerts.models
import ims.audit.models
import ims.healing.models
import ims.heartbeats.models
import ims.incidents.models
import ims.maintenance.models
import ims.oncall.models
import ims.policy.models
import ims.runs.models
import ims.sources.models
import ims.workers.models  # noqa: F401
from ims.core.db.base import Base

metadata = Base.metadata
