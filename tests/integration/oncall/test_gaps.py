"""The worker measures the gaps of schedules, without those that overrides fill."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from prometheus_client import REGISTRY
from sqlalchemy.orm import Session

from ims.engine.modules.oncall import measure_gaps
from ims.oncall.metrics import GAP_SECONDS
from ims.oncall.queries import gap_seconds
from ims.oncall.usecases import NewOverride, override
from tests.support.context import by_ims
from tests.support.history import add_cast, add_policy

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_gaps_of_the_next_28_days_are_added_up_unless_an_override_fills_them(session: Session) -> None:
    add_cast(session, NOON)
    add_policy(session, NOON)
    half_days = timedelta(days=14).total_seconds()
    assert gap_seconds(session, NOON) == {"discovery": half_days, "payments": 0}
    override(by_ims(session, NOON), "discovery", NewOverride("bob", NOON, NOON + timedelta(hours=24)))
    assert gap_seconds(session, NOON)["discovery"] == half_days - timedelta(hours=12).total_seconds()


def test_a_schedule_that_is_gone_is_exported_no_longer(session: Session) -> None:
    add_cast(session, NOON)
    add_policy(session, NOON)
    GAP_SECONDS.labels("gone").set(1)

    async def transaction(work: Callable[[Session], Any]) -> Any:
        return work(session)

    asyncio.run(measure_gaps(SimpleNamespace(transaction=transaction)))  # type: ignore[arg-type]
    assert REGISTRY.get_sample_value("ims_oncall_gap_seconds", {"schedule": "payments"}) == 0
    assert REGISTRY.get_sample_value("ims_oncall_gap_seconds", {"schedule": "gone"}) is None
