"""The same step is the same by whichever door it is taken: page, REST, command, or the use case by itself.

One row of `STEPS` is one step: what the audit log calls it, how each door that offers it takes it, and who may. For
each person every door must say the same: the same entries of the audit log, timeline events and metrics, or the same
refusal.
"""

# ruff: noqa: ARG005 - each row's use case is called with the context and the names of the world, needed or not

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from ims.accounts.people import teams
from ims.accounts.people import usecases as people
from ims.accounts.people.inputs import NewAccount, NewTeam
from ims.accounts.people.queries import NoSuchTeam
from ims.accounts.tokens import usecases as tokens
from ims.alerts import dead_letters
from ims.api.operations import Security
from ims.api.v1.schemas.maintenance import NewWindow
from ims.core.clock import utc_now
from ims.core.context import Context, ScopeTooNarrow
from ims.core.db.engine import app_url
from ims.core.errors import Conflict, Forbidden, IMSError, NotFound
from ims.core.principal import Scope
from ims.core.settings import Settings
from ims.incidents import usecases as incidents
from ims.incidents.edits import editable
from ims.incidents.inputs import NewIncident
from ims.incidents.permissions import NotYourIncident
from ims.incidents.queries import find_incident
from ims.incidents.usecases import StepNotAllowed
from ims.maintenance import usecases as maintenance
from ims.maintenance.queries import NoSuchWindow
from ims.oncall import usecases as oncall
from ims.oncall.feeds import NoSuchFeed, create_feed, revoke_feed
from ims.oncall.queries import NoSuchSchedule
from ims.oncall.usecases import NewOverride, NoSuchOverride, NothingToSwap, NotYourSchedule
from ims.policy.git import GitState
from ims.policy.revision import Revision
from ims.policy.schema import Policy
from ims.policy.usecases import store_and_activate
from ims.programs.web import GROUPS, create_app
from ims.sources import usecases as sources
from tests.integration.doors.world import PEOPLE, SECRET, Call, Do, Doors, Form, Happened, create_world, kind_of
from tests.integration.web.conftest import OneConnection
from tests.support.history import PASSWORD

ADMINS: Final = frozenset({"alice"})
RESPONDERS: Final = frozenset({"alice", "bob"})
EVERYBODY: Final = frozenset(PEOPLE)

FRANK: Final = {"name": "frank", "role": "viewer", "password": SECRET}
WINDOW: Final = {"name": "disks", "services": ["checkout"], "seconds": 3600, "reason": "New disks"}
EDIT: Final = {"title": "Slower", "severity": "low"}
TAKEN: Final = {"name": "upgrade"}
HOUR: Final = timedelta(hours=1)
FROM: Final = datetime(2030, 12, 24, 8, tzinfo=UTC)
OVERRIDE: Final = {"person": "bob", "from": FROM.isoformat(), "to": (FROM + HOUR).isoformat(), "reason": "Holidays"}
OVERRIDE_FORM: Final = {"person": "bob", "from": "2030-12-24T08:00", "to": "2030-12-24T09:00", "reason": "Holidays"}
SWAP: Final = {"first": FROM.isoformat(), "second": (FROM + 7 * 24 * HOUR).isoformat()}
SAFE: Final = {"GET", "HEAD", "OPTIONS"}
CHANGE_NOTHING: Final = {"api.sources_try_one"}
"""Operations with a body to read that answer what would happen."""
NOT_STEPS: Final = {"accounts.set_theme", "accounts.sign_in_by_password"}
"""Forms that change only the own session: settings in a cookie, and signing in."""


@dataclass(frozen=True)
class Step:
    """One step, how each door takes it, and what becomes of it."""

    outcome: str | type[IMSError]
    """The action in the audit log; or the error with which it fails for authorised people."""
    do: Do
    page: Form | None = None
    rest: Call | None = None
    may: frozenset[str] = ADMINS
    own: bool = False
    """It changes the own account, and a command on this machine has none."""
    others: Mapping[str, type[IMSError]] = field(default_factory=dict)
    """The error for people who are not authorised, if it is not `Forbidden`."""

    def __str__(self) -> str:
        return self.outcome if isinstance(self.outcome, str) else kind_of(self.outcome)

    def refusal(self, person: str) -> type[IMSError] | None:
        """The error for a person; None if the step succeeds."""
        if person not in self.may:
            return self.others.get(person, Forbidden)
        return None if isinstance(self.outcome, str) else self.outcome


def revision() -> Revision:
    policy = Policy.from_stored({"inventory": "inventory/local", "services": {"shop": {"name": "shop"}}})
    return Revision("0" * 64, b"", policy, GitState(None, None))


def overridden(context: Context, schedule: str) -> object:
    return oncall.override(context, schedule, NewOverride("bob", FROM, FROM + HOUR, "Holidays"))


def edited(context: Context, reference: str, changes: Mapping[str, str]) -> object:
    present = editable(find_incident(context.session, reference))
    return incidents.edit(context, reference, present.model_copy(update=changes))


def post(path: str, body: Any = None) -> Call:
    return Call("POST", path, body)


def patch(path: str, **body: Any) -> Call:
    return Call("PATCH", path, body)


def delete(path: str) -> Call:
    return Call("DELETE", path)


STEPS: Final = [
    # Accounts.
    Step("user.created", lambda c, w: people.create_account(c, NewAccount(name="frank", role="viewer"), SECRET),
         Form("/admin/users/new", FRANK), post("/users", FRANK)),
    Step("user.changed", lambda c, w: people.change_account(c, "dora", {"role": "responder"}),
         Form("/admin/users/dora", {"role": "responder", "teams": "search"}), patch("/users/dora", role="responder")),
    Step("user.password_set", lambda c, w: people.set_password(c, "dora", SECRET),
         Form("/admin/users/dora/password", {"password": SECRET}), post("/users/dora/password", {"password": SECRET})),
    Step("user.signed_out_everywhere", lambda c, w: people.end_sessions(c, "dora"),
         Form("/admin/users/dora/sign-out"), post("/users/dora/sign-out")),
    Step("user.disabled", lambda c, w: people.disable_account(c, "dora"),
         Form("/admin/users/dora/disable"), patch("/users/dora", enabled=False)),
    Step("user.enabled", lambda c, w: people.enable_account(c, "eve"),
         Form("/admin/users/eve/enable"), patch("/users/eve", enabled=True)),
    Step("user.linked", lambda c, w: people.link_identity(c, "dora", "https://id.example", "0815")),
    Step("team.created", lambda c, w: teams.create_team(c, NewTeam(name="disks")),
         Form("/admin/teams", {"name": "disks"}), post("/teams", {"name": "disks"})),
    Step("team.removed", lambda c, w: teams.remove_team(c, "storage"),
         Form("/admin/teams/remove", {"name": "storage"}), delete("/teams/storage")),
    Step("team.joined", lambda c, w: teams.join_team(c, "storage", "dora"),
         Form("/admin/users/dora", {"role": "viewer", "teams": ["search", "storage"]}),
         post("/teams/storage/members", {"user": "dora"})),
    Step("team.left", lambda c, w: teams.leave_team(c, "search", "dora"),
         Form("/admin/users/dora", {"role": "viewer"}), delete("/teams/search/members/dora")),
    Step(NoSuchTeam, lambda c, w: teams.remove_team(c, "gone"),
         Form("/admin/teams/remove", {"name": "gone"}), delete("/teams/gone")),
    Step(people.LastAdministrator, lambda c, w: people.disable_account(c, "alice"),
         Form("/admin/users/alice/disable"), patch("/users/alice", enabled=False)),
    Step(people.NameTaken, lambda c, w: people.create_account(c, NewAccount(name="dora"), SECRET),
         Form("/admin/users/new", {**FRANK, "name": "dora"}), post("/users", {**FRANK, "name": "dora"})),
    # One's own account.
    Step("user.password_set", lambda c, w: people.change_own_password(c, PASSWORD, SECRET),
         Form("/account/password", {"present": PASSWORD, "password": SECRET}), may=EVERYBODY, own=True),
    Step("user.signed_out_everywhere", lambda c, w: people.end_own_sessions(c),
         Form("/sign-out", {"everywhere": "1"}), may=EVERYBODY, own=True),
    Step("token.created", lambda c, w: tokens.create_own_token(c, Scope.READ, "cron"),
         Form("/account/tokens", {"label": "cron", "scope": "read", "lifetime": ""}),
         post("/me/tokens", {"label": "cron"}), EVERYBODY, own=True),
    Step("token.rotated", lambda c, w: tokens.rotate_own_token(c, w.own, HOUR),
         Form("/account/tokens/{own}/rotate"), post("/me/tokens/{own}/rotate", {}), EVERYBODY, own=True),
    Step("token.revoked", lambda c, w: tokens.revoke_own_token(c, w.own),
         Form("/account/tokens/{own}/revoke"), delete("/me/tokens/{own}"), EVERYBODY, own=True),
    # Everybody's tokens.
    Step("token.created", lambda c, w: tokens.create_user_token(c, "dora", Scope.READ, "cron"),
         rest=post("/tokens", {"user": "dora", "label": "cron"})),
    Step("token.created", lambda c, w: sources.create_source_token(c, "scripts", "cron"),
         Form("/admin/sources/scripts/tokens", {"label": "cron", "lifetime": ""}),
         post("/tokens", {"source": "scripts", "label": "cron"})),
    Step("token.rotated", lambda c, w: tokens.rotate_token(c, w.sender, HOUR),
         Form("/admin/sources/scripts/tokens/{sender}/rotate", {"overlap": "3600"}),
         post("/tokens/{sender}/rotate", {})),
    Step("token.revoked", lambda c, w: tokens.revoke_token(c, w.sender),
         Form("/admin/sources/scripts/tokens/{sender}/revoke"), delete("/tokens/{sender}")),
    Step("token.revoked", lambda c, w: tokens.revoke_token(c, w.doras),
         Form("/admin/users/dora/tokens/{doras}/revoke"), delete("/tokens/{doras}")),
    Step(tokens.TokenEnded, lambda c, w: tokens.rotate_token(c, w.ended, HOUR),
         Form("/admin/sources/scripts/tokens/{ended}/rotate", {"overlap": "3600"}), post("/tokens/{ended}/rotate", {})),
    Step(NotFound, lambda c, w: tokens.revoke_token(c, "T-4711"),
         Form("/admin/sources/scripts/tokens/T-4711/revoke"), delete("/tokens/T-4711")),
    # Sources.
    Step("source.added", lambda c, w: sources.add_source(c, {"name": "backups", "kind": "generic"}),
         rest=post("/sources", {"name": "backups", "kind": "generic"})),
    Step("source.changed", lambda c, w: sources.change_source(c, "scripts", {"rate_limit": 5}),
         rest=patch("/sources/scripts", rate_limit=5)),
    Step("source.removed", lambda c, w: sources.remove_source(c, "scripts"), rest=delete("/sources/scripts")),
    Step(sources.SourceInUse, lambda c, w: sources.remove_source(c, "alertmanager"),
         rest=delete("/sources/alertmanager")),
    Step(NotFound, lambda c, w: sources.remove_source(c, "gone"), rest=delete("/sources/gone")),
    # Maintenance.
    Step("maintenance.added", lambda c, w: maintenance.add_window(c, NewWindow(**WINDOW).window(c.now)),
         rest=post("/maintenance-windows", WINDOW), may=RESPONDERS),
    Step("maintenance.ended", lambda c, w: maintenance.end_window(c, "upgrade"),
         rest=post("/maintenance-windows/upgrade/end"), may=RESPONDERS),
    Step("maintenance.removed", lambda c, w: maintenance.remove_window(c, "upgrade"),
         rest=delete("/maintenance-windows/upgrade"), may=RESPONDERS),
    Step(Conflict, lambda c, w: maintenance.add_window(c, NewWindow(**WINDOW | TAKEN).window(c.now)),
         rest=post("/maintenance-windows", WINDOW | TAKEN), may=RESPONDERS),
    Step(NoSuchWindow, lambda c, w: maintenance.end_window(c, "gone"),
         rest=post("/maintenance-windows/gone/end"), may=RESPONDERS),
    # On call.
    Step("schedule.overridden", lambda c, w: overridden(c, "payments"),
         Form("/on-call/payments/overrides", OVERRIDE_FORM), post("/schedules/payments/overrides", OVERRIDE),
         RESPONDERS),
    Step("schedule.overridden", lambda c, w: overridden(c, "discovery"),
         Form("/on-call/discovery/overrides", OVERRIDE_FORM), post("/schedules/discovery/overrides", OVERRIDE),
         others={"bob": NotYourSchedule}),
    Step("schedule.override_cancelled", lambda c, w: oncall.cancel_override(c, "payments", int(w.override)),
         Form("/on-call/payments/overrides/{override}/cancel"), delete("/schedules/payments/overrides/{override}"),
         RESPONDERS),
    Step("schedule.swapped", lambda c, w: oncall.swap(c, "payments", FROM, FROM + 7 * 24 * HOUR),
         rest=post("/schedules/payments/swaps", SWAP), may=RESPONDERS),
    Step(NothingToSwap, lambda c, w: oncall.swap(c, "payments", FROM, FROM),
         rest=post("/schedules/payments/swaps", SWAP | {"second": SWAP["first"]}), may=RESPONDERS),
    Step(NoSuchSchedule, lambda c, w: overridden(c, "gone"),
         Form("/on-call/gone/overrides", OVERRIDE_FORM), post("/schedules/gone/overrides", OVERRIDE), RESPONDERS),
    Step(NoSuchOverride, lambda c, w: oncall.cancel_override(c, "payments", 4711),
         Form("/on-call/payments/overrides/4711/cancel"), delete("/schedules/payments/overrides/4711"), RESPONDERS),
    Step("calendar.created", lambda c, w: create_feed(c, None),
         Form("/on-call/calendars", {"schedule": ""}), may=EVERYBODY, own=True),
    Step("calendar.created", lambda c, w: create_feed(c, "payments"),
         Form("/on-call/calendars", {"schedule": "payments"}), may=EVERYBODY, own=True),
    Step("calendar.revoked", lambda c, w: revoke_feed(c, int(w.feed)),
         Form("/on-call/calendars/{feed}/revoke"), own=True,
         others={"bob": NoSuchFeed, "charlie": NoSuchFeed}),
    # Dead letters.
    Step("dead_letter.retried", lambda c, w: dead_letters.retry(c, int(w.readable)),
         Form("/dead-letters/{readable}/retry"), post("/dead-letters/{readable}/retry"), RESPONDERS),
    Step("dead_letter.retried", lambda c, w: dead_letters.retry(c, int(w.broken)),
         Form("/dead-letters/{broken}/retry"), post("/dead-letters/{broken}/retry"), RESPONDERS),
    Step("dead_letter.dropped", lambda c, w: dead_letters.drop(c, [int(w.broken)]),
         Form("/dead-letters/{broken}/drop"), delete("/dead-letters/{broken}"), RESPONDERS),
    Step(dead_letters.NoSuchDeadLetter, lambda c, w: dead_letters.drop(c, [4711]),
         Form("/dead-letters/4711/drop"), delete("/dead-letters/4711"), RESPONDERS),
    # Policy.
    Step("policy.activated", lambda c, w: store_and_activate(c, revision())),
    # Incidents.
    Step("incident.created", lambda c, w: incidents.open_incident(c, NewIncident(title="Slow", severity="low")),
         Form("/incidents/new", {"title": "Slow", "severity": "low", "id": "7a5d3d06-6f0a-4b60-9a0c-8f7a3d1f1c11"}),
         post("/incidents", {"title": "Slow", "severity": "low"}), RESPONDERS),
    Step("incident.acknowledged", lambda c, w: incidents.acknowledge(c, w.incident),
         Form("/incidents/{incident}/acknowledge"), patch("/incidents/{incident}", status="acknowledged"), RESPONDERS),
    Step("incident.started", lambda c, w: incidents.start_progress(c, w.acked),
         Form("/incidents/{acked}/start"), patch("/incidents/{acked}", status="in_progress"), RESPONDERS),
    Step("incident.resolved", lambda c, w: incidents.resolve(c, w.incident, "The cable."),
         Form("/incidents/{incident}/resolve", {"text": "The cable."}),
         patch("/incidents/{incident}", status="resolved", note="The cable."), RESPONDERS),
    Step("incident.noted", lambda c, w: incidents.add_note(c, w.incident, "The cable."),
         Form("/incidents/{incident}/notes", {"text": "The cable."}),
         patch("/incidents/{incident}", note="The cable."), RESPONDERS),
    Step("incident.assigned", lambda c, w: incidents.assign(c, w.incident, "charlie"),
         Form("/incidents/{incident}/assign", {"assignee": "charlie"}),
         patch("/incidents/{incident}", assignee="charlie"), RESPONDERS),
    Step("incident.edited", lambda c, w: edited(c, w.incident, EDIT),
         Form("/incidents/{incident}/edit", EDIT | {"service": "checkout", "team": "payments", "version": "{version}"}),
         patch("/incidents/{incident}", **EDIT), RESPONDERS),
    Step(StepNotAllowed, lambda c, w: incidents.start_progress(c, w.incident),
         Form("/incidents/{incident}/start"), patch("/incidents/{incident}", status="in_progress"), RESPONDERS),
    Step("incident.acknowledged", lambda c, w: incidents.acknowledge(c, w.theirs),
         Form("/incidents/{theirs}/acknowledge"), patch("/incidents/{theirs}", status="acknowledged"),
         others={"bob": NotYourIncident}),
]  # fmt: skip


@pytest.fixture(scope="module")
def doors(settings: Settings) -> Iterator[Doors]:
    database = OneConnection(app_url(settings), pool_size=1)
    with database.engine.connect() as connection:
        transaction = connection.begin()
        database.connection = connection
        with database.begin() as session:
            names = create_world(session, utc_now())
        yield Doors(create_app(settings, database), database, connection, names)
        transaction.rollback()
    database.dispose()


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_every_door_does_the_same(doors: Doors, step: Step) -> None:
    for person in PEOPLE:
        refused = step.refusal(person)
        happened = doors.by_account(person, step.do)
        expected = (kind_of(refused), refused.status) if refused else ("", 0)
        assert (happened.refused, happened.status) == expected, person
        assert [entry[0] for entry in happened.entries] == ([] if refused else [step.outcome]), person
        if step.page:
            page = doors.by_page(person, step.page)
            # A form that is shown again names the wrong field for people, without the error's kind.
            assert (replace(page, refused=happened.refused) if page.refused == "page" else page) == happened, person
        if step.rest:
            assert doors.by_rest(person, step.rest) == happened, person
        if person == "alice":
            nobody = Happened(kind_of(Forbidden), Forbidden.status)
            assert doors.by_command(step.do) == (nobody if step.own else happened)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_token_that_may_only_read_changes_nothing(doors: Doors, step: Step) -> None:
    narrow = Happened(kind_of(ScopeTooNarrow), ScopeTooNarrow.status)
    assert doors.by_account("alice", step.do, Scope.READ) == narrow


def test_a_dead_letter_that_is_taken_counts_as_an_alert_and_its_incident(doors: Doors) -> None:
    (step,) = [one for one in STEPS if one.rest == post("/dead-letters/{readable}/retry")]
    happened = doors.by_account("bob", step.do)
    assert {name.partition("_total")[0] for name in happened.counted} == {
        "alerts_received", "alerts_correlated", "incidents_created",
    }  # fmt: skip


def test_every_form_that_changes_something_is_a_step(doors: Doors) -> None:
    """A new page that changes something without a step here fails this one."""
    adapter = doors.app.url_map.bind("")
    stepped = {adapter.match(_example(step.page.path), method="POST")[0] for step in STEPS if step.page}
    rules = [rule for rule in doors.app.url_map.iter_rules() if not rule.endpoint.startswith("api.")]
    changing = {rule.endpoint for rule in rules if (rule.methods or set()) - SAFE}
    assert stepped | NOT_STEPS == changing


def test_every_operation_that_changes_something_is_a_step(doors: Doors) -> None:
    """A new operation that changes something without a step here fails this one."""
    adapter = doors.app.url_map.bind("")
    calls = [step.rest for step in STEPS if step.rest]
    stepped = {adapter.match(f"/api/v1{_example(call.path)}", method=call.method)[0] for call in calls}
    operations = [one for group in GROUPS for one in group.operations if one.security is Security.ACCOUNT]
    assert stepped == {f"api.{one.name}" for one in operations if not one.is_safe} - CHANGE_NOTHING


def _example(path: str) -> str:
    return re.sub(r"\{\w+\}", "1", path)
