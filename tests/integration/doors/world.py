"""A world in which every step of `test_same_step` is possible, and the doors by which it can be taken."""

import getpass
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from flask import Flask
from prometheus_client import REGISTRY
from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from ims.accounts.people.inputs import NewAccount, NewTeam
from ims.accounts.people.teams import create_team
from ims.accounts.people.usecases import create_account, disable_account
from ims.accounts.queries import account_by_name
from ims.accounts.tokens.usecases import create_own_token, create_user_token, revoke_token
from ims.alerts.ingest import ingest
from ims.alerts.models import DeadLetter
from ims.alerts.notifications import RejectReason, reject
from ims.api.v1.schemas.maintenance import NewWindow
from ims.audit.models import AuditEntry
from ims.cli.admin.local import local_context
from ims.core.actors import ActorKind
from ims.core.clock import utc_now
from ims.core.context import Context, Origin
from ims.core.db.engine import Database
from ims.core.errors import IMSError
from ims.core.principal import Principal, Scope
from ims.incidents.inputs import NewIncident
from ims.incidents.models import Incident, TimelineEvent
from ims.incidents.usecases import acknowledge, open_incident
from ims.maintenance.usecases import add_window
from ims.oncall.feeds import create_feed
from ims.oncall.usecases import NewOverride, override
from ims.policy.queries import policy_in_force
from ims.sources.usecases import add_source, create_source_token
from tests.integration.web.conftest import token as csrf_token
from tests.support.cast import add_token
from tests.support.context import ADDRESS, by_account, by_ims
from tests.support.history import PASSWORD, add_cast, add_policy
from tests.support.notifications import alertmanager_alert, notification

PEOPLE = ("alice", "bob", "charlie")
_COUNTED = re.compile(r"(?:alerts?|incidents?|runs?|ims)_\w+_total")
_NUMBER = re.compile(r"\d+")
SECRET = "another long password"

Do = Callable[[Context, Any], object]
"""A use case, called with a context and the names of the world."""


@dataclass(frozen=True)
class Form:
    """A form of a page."""

    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """An operation of the REST API."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Happened:
    """The effects of a step, without what differs each time: numbers of objects, the actor, and the address."""

    refused: str = ""
    """The error's kind in REST; empty if the step succeeded."""
    status: int = 0
    """The error's status."""
    entries: tuple[Any, ...] = ()
    """Entries of the audit log: action, object, and the fields before and after."""
    events: tuple[Any, ...] = ()
    """Timeline events."""
    counted: Mapping[str, float] = field(default_factory=dict)
    """Metrics, with their increments."""


def create_world(session: Session, now: datetime) -> dict[str, str]:
    """alice is administrator, bob responder of the payments, charlie viewer; and the names of the objects of steps."""
    add_cast(session, now)
    add_policy(session, now)
    ims = by_ims(session, now)
    for team in ("search", "storage"):
        create_team(ims, NewTeam(name=team))
    create_account(ims, NewAccount(name="dora", role="viewer", teams=("search",)), None)
    create_account(ims, NewAccount(name="eve", role="viewer"), None)
    disable_account(ims, "eve")
    add_source(ims, {"name": "scripts", "kind": "generic"})
    add_window(ims, NewWindow(name="upgrade", services=("search",), seconds=3600).window(now))
    ended = create_source_token(ims, "scripts", "ended").name
    revoke_token(ims, ended)
    rejected = [
        reject(alert, "alertmanager", RejectReason.WRONG_STATUS, "It was wrong.", 0)
        for alert in (alertmanager_alert("Repaired"), {"status": "on fire"})
    ]
    outcome = ingest(session, [notification()], rejected, policy_in_force(session), now)
    incident = session.get_one(Incident, outcome.new_incidents[0][0])
    new = NewIncident(title="Slow", severity="low", service="checkout")
    acked = acknowledge(ims, str(open_incident(ims, new).incident.id))
    theirs = open_incident(ims, new.model_copy(update={"service": "search"})).incident
    readable, broken = session.scalars(select(DeadLetter.id).order_by(DeadLetter.id))
    begins = now + timedelta(days=1)
    overridden = override(ims, "payments", NewOverride("dora", begins, begins + timedelta(hours=1)))
    names = {
        "readable": readable,
        "broken": broken,
        "sender": create_source_token(ims, "scripts", "").name,
        "doras": create_user_token(ims, "dora", Scope.READ, "").name,
        "ended": ended,
        "override": overridden.id,
        "feed": create_feed(by_account(session, "alice", now), None).id,
        "incident": f"INC-{incident.number}",
        "version": incident.version,
        "acked": f"INC-{acked.number}",
        "theirs": f"INC-{theirs.number}",
        **{f"own_{name}": create_own_token(by_account(session, name, now), Scope.READ, "").name for name in PEOPLE},
        **{f"secret_{name}": add_token(session, name, now) for name in PEOPLE},
    }
    return {name: str(value) for name, value in names.items()}


@dataclass(frozen=True)
class _Who:
    """The actor in the audit log when a step came through this door."""

    kind: ActorKind
    name: str
    address: str | None


@dataclass
class Doors:
    """Takes steps, each in the same world, which is restored afterwards."""

    app: Flask
    database: Database
    connection: Connection
    names: dict[str, str]

    def by_page(self, person: str, form: Form) -> Happened:
        """By the form of a page, signed in."""
        with self._undone():
            client = self.app.test_client()
            client.post("/sign-in", data={"name": person, "password": PASSWORD, **csrf_token(client, "/sign-in")})
            given = {**self._filled(person, form.fields), **csrf_token(client, "/account")}
            path = self._filled(person, form.path)
            # As a program, since a page gives the reason of a refusal as text for people only.
            headers = {"Accept": "application/problem+json"}
            by = _Who(ActorKind.PERSON, person, "127.0.0.1")
            return self._watch(by, lambda: client.post(path, data=given, headers=headers))

    def by_rest(self, person: str, call: Call) -> Happened:
        """By the REST API, with a token that may do whatever the person may."""
        headers = {"Authorization": f"Bearer {self.names[f'secret_{person}']}"}
        path, body = f"/api/v1{self._filled(person, call.path)}", self._filled(person, call.body)
        with self._undone():
            client = self.app.test_client()
            by = _Who(ActorKind.TOKEN, person, "127.0.0.1")
            return self._watch(by, lambda: client.open(path, method=call.method, headers=headers, json=body))

    def by_command(self, do: Do) -> Happened:
        """By a command on this machine, which may do everything that does not require an own account."""
        with self._undone():
            by = _Who(ActorKind.PERSON, getpass.getuser(), None)
            return self._watch(by, lambda: self._called(lambda: local_context(self.database), "alice", do))

    def by_account(self, person: str, do: Do, scope: Scope = Scope.ADMIN) -> Happened:
        """The use case itself, called by an account: it alone authorises the step."""

        @contextmanager
        def context() -> Iterator[Context]:
            with self.database.begin() as session:
                account = account_by_name(session, person)
                assert account
                principal = Principal.of_account(account[0], scope, None if scope is Scope.ADMIN else "T-1")
                yield Context(session, principal, Origin(ADDRESS, "request-1"), utc_now())

        with self._undone():
            by = _Who(ActorKind.PERSON, person, ADDRESS)
            return self._watch(by, lambda: self._called(context, person, do))

    def _called(self, context: Callable[[], Any], person: str, do: Do) -> IMSError | None:
        names = SimpleNamespace(**self.names, own=self.names[f"own_{person}"])
        try:
            with context() as given:
                do(given, names)
        except IMSError as error:
            return error
        return None

    def _filled(self, person: str, given: Any) -> Any:
        """The values with the names of the world in place of braces."""
        if isinstance(given, str):
            return given.format(**self.names, own=self.names[f"own_{person}"])
        if isinstance(given, Mapping):
            return {name: self._filled(person, value) for name, value in given.items()}
        return [self._filled(person, one) for one in given] if isinstance(given, list) else given

    @contextmanager
    def _undone(self) -> Iterator[None]:
        before = self.connection.begin_nested()
        try:
            yield
        finally:
            before.rollback()

    def _watch(self, by: "_Who", take: Callable[[], TestResponse | IMSError | None]) -> Happened:
        newest, events, counts = self._newest_entry(), self._events(), _counts()
        result = take()
        refused, status = _refusal(result)
        entries = self._entries(newest)
        for entry in entries:
            assert (entry.actor_kind, entry.actor.partition(" ")[0], entry.address) == (by.kind, by.name, by.address)
            assert not any(secret in f"{entry.before}{entry.after}" for secret in (PASSWORD, SECRET))
            if isinstance(result, TestResponse):
                assert entry.request_id == result.headers["X-Request-ID"]
        return Happened(
            refused,
            status,
            tuple(_comparable(entry) for entry in entries),
            tuple(sorted(self._events() - events)),
            {name: value - counts.get(name, 0) for name, value in _counts().items() if value != counts.get(name, 0)},
        )

    def _newest_entry(self) -> int:
        with self.database.begin() as session:
            return session.scalar(select(func.max(AuditEntry.id))) or 0

    def _entries(self, after: int) -> Sequence[AuditEntry]:
        with self.database.begin() as session:
            return session.scalars(select(AuditEntry).where(AuditEntry.id > after).order_by(AuditEntry.id)).all()

    def _events(self) -> set[tuple[str, int, str]]:
        with self.database.begin() as session:
            found = select(Incident.title, TimelineEvent.seq, TimelineEvent.kind).join(
                Incident, Incident.id == TimelineEvent.incident_id
            )
            return {(title, seq, kind) for title, seq, kind in session.execute(found)}


def _comparable(entry: AuditEntry) -> tuple[str, str, str, list[str], list[str]]:
    is_numbered = entry.object_kind in ("token", "incident")
    named = _NUMBER.sub("#", entry.object) if is_numbered else entry.object
    return entry.action, entry.object_kind, named, sorted(entry.before or ()), sorted(entry.after or ())


def _refusal(result: TestResponse | IMSError | None) -> tuple[str, int]:
    if result is None:
        return "", 0
    if isinstance(result, IMSError):
        return kind_of(type(result)), result.status
    if result.status_code < 400:
        return "", 0
    problem = result.get_json(silent=True)
    return (problem["type"].rpartition(":")[2] if problem else "page"), result.status_code


def kind_of(error: type[IMSError]) -> str:
    """The error as REST names it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", error.__name__).lower()


def _counts() -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if _COUNTED.fullmatch(sample.name)
    }
