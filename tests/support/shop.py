"""One night at a shop: the incidents that pages are looked at with."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ims.core.actors import Actor, ActorKind
from ims.incidents.models import EventKind
from ims.runs.models import Run, RunOutcome
from tests.support.history import Tale, add_cast, add_log, add_policy

ALICE = Actor(ActorKind.PERSON, "alice")
BOB = Actor(ActorKind.PERSON, "bob")


IMPORTER = """The importer **waits for a lock**, like in INC-26:

```
pid   | state  | waits
48213 | active | 00:38:12
```

- asked the people of the warehouse, see <https://wiki.example.org/warehouse>
- their job of the night is still at work
"""
"""A note as people write them."""


def fill(session: Session, now: datetime) -> None:
    """Write the night that ends at `now`: two weeks of healed incidents, and four that are not resolved."""
    add_cast(session, now - timedelta(days=20))
    add_policy(session, now - timedelta(days=20))
    _earlier(session, now)
    _healed_at_second_try(session, now - timedelta(minutes=47))
    _resolved_by_bob(session, now - timedelta(hours=2, minutes=12))
    _refused(session, now - timedelta(minutes=18))
    _given_up(session, now - timedelta(minutes=6))
    _acknowledged(session, now - timedelta(minutes=3, seconds=20))
    _healing(session, now - timedelta(seconds=31))


def _earlier(session: Session, now: datetime) -> None:
    """Incidents of the days before, most of them healed at once."""
    services = ("checkout", "search", "ims-web", "mailer")
    for place in range(24):
        # Closer to each other the later they are: some of them lie in the last 24 hours.
        opened = now - timedelta(hours=312 * (1 - place / 24) ** 1.6)
        service = services[place % 4]
        tale = Tale(session, opened, service, f"{service} is down", ("critical", "high", "medium", "low")[place % 3])
        seconds = 6 + (place * 7) % 23
        run = tale.run(2, seconds, RunOutcome.HEALED, verify=3 + place % 4)
        if place % 5 == 0:
            tale.set(acknowledged_at=tale.when(5 + place), status="acknowledged")
            tale.tell(5 + place, EventKind.ACKNOWLEDGED, BOB)
        if place % 2 == 0:
            add_log(session, run, _good_log(service))
        tale.clear(seconds + 12)


def _healed_at_second_try(session: Session, opened: datetime) -> None:
    tale = Tale(session, opened, "search", "search is down", "high")
    reason = "The service's url did not answer for 3 s within 60 s."
    first = tale.run(1, 9, RunOutcome.INEFFECTIVE, verify=60, reason=reason)
    tale.tell(
        70, EventKind.VERIFICATION_FAILED, Actor(ActorKind.RUN, f"R-{first.number}"), target="search", reason=reason
    )
    second = tale.run(100, 11, RunOutcome.HEALED, verify=4, attempt=2)
    add_log(session, second, _good_log("search"))
    tale.clear(121)


def _resolved_by_bob(session: Session, opened: datetime) -> None:
    tale = Tale(session, opened, "checkout", "checkout answers slowly", "medium", "SlowAnswers")
    tale.tell(0.5, EventKind.NO_RULE, Actor(ActorKind.SYSTEM, "ims"), alert="SlowAnswers")
    tale.set(attention_at=tale.when(0.5), attention_reason="No rule matches this alert.")
    tale.tell(58, EventKind.ACKNOWLEDGED, BOB)
    tale.set(acknowledged_at=tale.when(58), first_human_at=tale.when(58), assignee="bob")
    tale.tell(412, EventKind.RESOLVED, BOB, note="The report of the month ran at noon; moved it to the night.")
    tale.set(status="resolved", resolved_at=tale.when(412))


def _refused(session: Session, opened: datetime) -> None:
    tale = Tale(session, opened, "mailer", "mailer is down", "low")
    tale.refuse(0.6, "manual")


def _given_up(session: Session, opened: datetime) -> None:
    tale = Tale(session, opened, "checkout", "checkout is down", "critical")
    reason, task = "The unit did not start: port 8443 is taken.", "managed_service : Restart the unit"
    for attempt, begins in enumerate((1, 42, 83), start=1):
        run = tale.run(begins, 8, RunOutcome.FAILED, attempt=attempt, reason=reason, failed_task=task)
        add_log(session, run, _bad_log("checkout"))
    tale.give_up(92, "Rule restart-a-dead-service has made 3 of 3 attempts.")


def _acknowledged(session: Session, opened: datetime) -> None:
    tale = Tale(session, opened, "search", "Index of products is 40 minutes old", "medium", "IndexOld")
    tale.tell(0.4, EventKind.NO_RULE, Actor(ActorKind.SYSTEM, "ims"), alert="IndexOld")
    tale.tell(64, EventKind.ACKNOWLEDGED, ALICE)
    tale.set(status="acknowledged", acknowledged_at=tale.when(64), first_human_at=tale.when(64), assignee="alice")
    tale.tell(131, EventKind.NOTE, ALICE, text=IMPORTER)


def _healing(session: Session, opened: datetime) -> None:
    tale = Tale(session, opened, "ims-web", "ims-web is down", "high")
    run = tale.run(3, 0, RunOutcome.RUNNING)
    add_log(session, run, _good_log("ims-web")[:5])


def _good_log(service: str) -> list[tuple[str, str, str | None]]:
    stars = "*" * 40
    return [
        ("playbook_on_start", "", None),
        ("playbook_on_play_start", f"\nPLAY [Restart a service] {stars}", None),
        ("playbook_on_task_start", f"\nTASK [managed_service : Ask the platform for its status] {stars}", "status"),
        ("runner_on_ok", f"\x1b[0;32mok: [{service}]\x1b[0m", "status"),
        ("playbook_on_task_start", f"\nTASK [managed_service : Restart the unit] {stars}", "restart"),
        ("runner_on_changed", f"\x1b[0;33mchanged: [{service}] => {{unit: {service}, pid: 48213}}\x1b[0m", "restart"),
        ("playbook_on_task_start", f"\nTASK [managed_service : Wait until it answers] {stars}", "wait"),
        ("runner_on_ok", f"\x1b[0;32mok: [{service}]\x1b[0m", "wait"),
        ("playbook_on_task_start", f"\nTASK [Say what was done] {stars}", "say"),
        ("runner_on_ok", f"\x1b[0;32mok: [{service}]\x1b[0m", "say"),
        ("playbook_on_stats", f"\nPLAY RECAP {stars}\n\x1b[0;33m{service}\x1b[0m : \x1b[0;32mok=2\x1b[0m "
         "\x1b[0;33mchanged=1\x1b[0m unreachable=0 failed=0 skipped=1 rescued=0 ignored=0", None),
    ]  # fmt: skip


def _bad_log(service: str) -> list[tuple[str, str, str | None]]:
    failure = f"\x1b[0;31mfatal: [{service}]: FAILED! =>\n    msg: 'The unit did not start: port 8443 is taken.'\x1b[0m"
    recap = f"\nPLAY RECAP {'*' * 40}\n\x1b[0;31m{service}\x1b[0m : ok=1 changed=0 \x1b[1;31mfailed=1\x1b[0m"
    return [*_good_log(service)[:5], ("runner_on_failed", failure, "restart"), ("playbook_on_stats", recap, None)]


def newest_run(session: Session, service: str) -> Run:
    """The newest run on a service."""
    return session.query(Run).filter_by(target=service).order_by(Run.number.desc()).limit(1).one()
