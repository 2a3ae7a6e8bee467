"""All engine modules of a worker. A new one is a function in this package and a line here."""

from ims.core.queue import WorkerContext
from ims.engine.endpoint import Pulse
from ims.engine.membership import HEARTBEAT_SECONDS, Membership
from ims.engine.module import Module, Scope
from ims.engine.modules import leftovers, lost_work
from ims.engine.modules.gauges import reading
from ims.engine.modules.heartbeats import watch_heartbeats
from ims.engine.modules.maintenance import follow_maintenance
from ims.engine.modules.oncall import measure_gaps
from ims.engine.modules.retention import remove_old
from ims.engine.modules.sources import mark_stale_sources, poll_interval, poll_sources
from ims.engine.modules.statistics import roll_up_changes
from ims.engine.modules.warm_runners import keeping
from ims.engine.pools import Pools
from ims.runs.supervision.warm import WarmRunners

_HOUR = 3600


def engine_modules(membership: Membership, pools: Pools, warm_runners: WarmRunners, pulse: Pulse) -> tuple[Module, ...]:
    """The modules of one worker, bound to its parts."""

    async def send_heartbeat(worker: WorkerContext) -> None:
        await membership.send_heartbeat(worker)
        pulse.heartbeat_written()

    return (
        Module("heartbeat", HEARTBEAT_SECONDS, Scope.EACH, send_heartbeat),
        Module("take_over_runs", 2, Scope.EACH, lost_work.take_over_runs),
        Module("retry_lost_jobs", 2, Scope.EACH, pools.retry_lost_jobs),
        Module("retry_stalled_jobs", 2, Scope.LEADER, lost_work.retry_stalled_jobs),
        Module("redefer_forgotten_runs", 10, Scope.LEADER, lost_work.redefer_forgotten_runs),
        Module("attend_to_approvals", 2, Scope.LEADER, lost_work.attend_to_approvals),
        Module("decide_about_undecided", 30, Scope.LEADER, lost_work.decide_about_undecided),
        Module("heal_future_times", 60, Scope.LEADER, lost_work.heal_future_times),
        Module("keep_warm_runners", 1, Scope.EACH, keeping(warm_runners)),
        Module("poll_sources", poll_interval, Scope.SHARDED, poll_sources),
        Module("mark_stale_sources", 5, Scope.LEADER, mark_stale_sources),
        Module("watch_heartbeats", 5, Scope.LEADER, watch_heartbeats),
        Module("follow_maintenance", 5, Scope.LEADER, follow_maintenance),
        Module("roll_up_changes", 30, Scope.LEADER, roll_up_changes),
        Module("read_gauges", 5, Scope.EACH, reading(membership)),
        Module("measure_oncall_gaps", 60, Scope.EACH, measure_gaps),
        Module("remove_old", _HOUR, Scope.LEADER, remove_old),
        Module("purge_finished_jobs", _HOUR, Scope.LEADER, leftovers.purge_finished_jobs),
        Module("remove_unpacked_revisions", _HOUR, Scope.EACH, leftovers.remove_unpacked_revisions),
        Module("forget_workers", 600, Scope.LEADER, leftovers.forget_workers),
    )
