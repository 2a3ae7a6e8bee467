"""Searching incidents: what is found, in which order, and what hostile input does."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from ims.core.actors import Actor, ActorKind
from ims.incidents import search, search_cost
from ims.incidents import usecases as actions
from ims.incidents.inputs import Editable
from ims.incidents.models import Incident, Status
from ims.incidents.queries import UNRESOLVED, Filters, Sort, list_incidents
from tests.support.context import by

NOW = datetime(2026, 3, 1, 3, 12, 7, tzinfo=UTC)
BOB = Actor(ActorKind.PERSON, "bob")


def add(
    session: Session, title: str, *, age: timedelta = timedelta(), own_id: UUID | None = None, **values: object
) -> UUID:
    """One incident that was opened so long ago."""
    own_id = own_id or uuid4()
    defaults = {"severity": "high", "environment": "production", "labels": {}, "updated_at": NOW}
    session.add(Incident(id=own_id, title=title, opened_at=NOW - age, **(defaults | values)))
    session.flush()
    return own_id


def found(session: Session, wanted: str, **filters: object) -> list[str]:
    """Titles of what is found."""
    return [row.title for row in list_incidents(session, Filters(search=wanted, **filters)).rows]  # type: ignore[arg-type]


def test_every_word_must_begin_one_of_the_title_or_the_description(session: Session) -> None:
    add(session, "Disks of db-01 are full", description="The «Größe» of /var/log/journal, 97%.")
    for wanted in ("disk", "DISKS full", "db-01", "db_01", "(full|disks)", "log", "/var/log", "97", "GRÖß", "größe db"):
        assert found(session, wanted), wanted
    for wanted in ("isks", "disk empty", "db02", "ournal log", "970"):
        assert not found(session, wanted), wanted


@pytest.mark.parametrize(
    "wanted",
    ["'", "\\", "''':*", "& | !", "(", "<->", "a' | 'b", "\\' | b", ":*", "%", "\0", "\ud800", "*", "«»", "x" * 2000],
)  # fmt: skip
def test_punctuation_and_what_cannot_be_stored_find_nothing_and_break_nothing(session: Session, wanted: str) -> None:
    add(session, "Disks are full")
    assert found(session, wanted) == []


def test_notes_and_what_was_said_on_resolving_are_found(session: Session) -> None:
    noted, resolved = add(session, "one"), add(session, "two")
    actions.add_note(by(session, BOB, NOW), str(noted), "Cleaned the journal's archive.")
    actions.resolve(by(session, BOB, NOW), str(resolved), note="The provider was down.")
    assert found(session, "one archive") == ["one"]
    assert found(session, "provider") == ["two"]
    assert found(session, "provider", statuses=UNRESOLVED) == []
    assert found(session, "archive", statuses=(Status.OPEN,)) == ["one"]


def test_an_edited_title_is_found_by_its_new_words_only_and_keeps_those_of_its_notes(session: Session) -> None:
    own_id = add(session, "Disks are full", description="journal")
    actions.add_note(by(session, BOB, NOW), str(own_id), "archive")
    wanted = Editable(title="Memory is full", description="heap", severity="high")
    actions.edit(by(session, BOB, NOW), str(own_id), wanted, version=2)
    assert found(session, "memory heap archive") == ["Memory is full"]
    assert not found(session, "disks")
    assert not found(session, "journal")


def test_notes_without_end_are_kept_and_the_first_thousands_of_words_are_found(session: Session) -> None:
    own_id = add(session, "one")
    for note in range(12):
        text = " ".join(f"ä{note:02}ü{word:04}öööööööö" for word in range(1100))
        actions.add_note(by(session, BOB, NOW), str(own_id), text)
    assert found(session, "ä00ü0007")
    assert not found(session, "ä11ü0007")
    session.get_one(Incident, own_id).title = "two"
    session.flush()
    assert found(session, "two ä00ü0007")


TITLES = st.lists(st.sampled_from(["disk", "disks", "full", "memory", "d"]), min_size=1, max_size=3).map(" ".join)
INCIDENTS = st.lists(
    st.tuples(TITLES, st.integers(0, 60 * 24 * 25), st.sampled_from(["a", "b"])), min_size=10, max_size=30
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    incidents=INCIDENTS,
    wanted=st.sampled_from(["disk", "d", "disks full", "memory", "m d"]),
    sort=st.sampled_from(Sort),
    service=st.sampled_from(["", "a"]),
    ages=st.sampled_from([(0, 26), (0, 12), (4, 26), (3, 20)]),
    walk=st.sampled_from([1, 3, 100]),
    affordable=st.sampled_from([1, 2, 7, 100]),
    walk_on=st.sampled_from([1, 5, 100]),
)
def test_pages_add_up_to_the_whole_result(
    session: Session, incidents: list[tuple[str, int, str]], wanted: str, sort: Sort, service: str,
    ages: tuple[int, int], walk: int, affordable: int, walk_on: int,
) -> None:  # fmt: skip
    with session.begin_nested() as savepoint, pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "WALK_ROWS", walk)
        patch.setattr(search, "MOST_DAYS", 4)
        search_a_little(patch, days=affordable, walk_on=walk_on)
        for title, minutes, name in incidents:
            add(session, title, age=timedelta(minutes=minutes), service=name)
        until, since = (NOW - timedelta(days=age) for age in sorted(ages))
        filters = Filters(service=service, since=since, until=until)
        whole = list_incidents(session, filters, sort=sort, limit=100).rows
        expected = [row.id for row in whole if has(row.title, wanted)]
        paged = all_pages(session, Filters(service=service, search=wanted, since=since, until=until), sort)
        savepoint.rollback()
    assert paged == expected


def search_a_little(patch: pytest.MonkeyPatch, *, days: int, walk_on: int) -> None:
    """Let an answer search so many days by the index, or look at so many rows."""
    patch.setattr(search, "affordable_days", lambda *_given, **_more: days)
    patch.setattr(search, "WALK_ON_ROWS", walk_on)


def all_pages(session: Session, filters: Filters, sort: Sort, limit: int = 2) -> list[UUID]:
    """What somebody finds who goes on until there is no next page, which must come."""
    found: list[UUID] = []
    after, places = None, []
    while True:
        page = list_incidents(session, filters, sort=sort, limit=limit, after=after)
        found += [row.id for row in page.rows]
        after = page.next
        if after is None:
            return found
        assert after not in places
        places.append(after)


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize(("service", "walk_on"), [("", 1), ("a", 1), ("a", 2)])
def test_midnight_where_a_search_stops_belongs_to_one_page(
    session: Session, monkeypatch: pytest.MonkeyPatch, sort: Sort, service: str, walk_on: int
) -> None:
    """Whatever ids are there, the first and the last possible one included."""
    monkeypatch.setattr(search, "WALK_ROWS", 1)
    search_a_little(monkeypatch, days=1, walk_on=walk_on)
    midnight = NOW.replace(hour=0, minute=0, second=0)
    moments = [midnight - timedelta(days=day, microseconds=before) for day in range(3) for before in (0, 1)]
    ids = [UUID(int=0), UUID(int=1), UUID(int=2**128 - 2), UUID(int=2**128 - 1)]
    placed = {own_id: moments[place % 2] for place, own_id in enumerate(ids)}
    for own_id, moment in placed.items():
        add(session, "disk", age=NOW - moment, own_id=own_id, service="a")
    for moment in [*moments, midnight + timedelta(hours=1)]:
        add(session, "disk", age=NOW - moment, service="a")
        add(session, "memory", age=NOW - moment, service="a")
    whole = [row.id for row in list_incidents(session, Filters(), sort=sort, limit=100).rows if row.title == "disk"]
    assert all_pages(session, Filters(search="disk", service=service), sort, limit=1) == whole
    assert all_pages(session, Filters(search="disk", service=service), sort, limit=3) == whole
    assert all_pages(session, Filters(search="nowhere", service=service), sort) == []


def test_what_is_opened_during_a_walk_moves_nothing_out_of_it(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "WALK_ROWS", 1)
    search_a_little(monkeypatch, days=1, walk_on=4)
    old = [add(session, "disk", age=timedelta(days=age), service="a") for age in range(12)]
    is_behind = search._is_behind

    def meanwhile(*given: Any) -> bool:
        add(session, "disk", age=-timedelta(minutes=1), service="a")
        return is_behind(*given)

    monkeypatch.setattr(search, "_is_behind", meanwhile)
    found = all_pages(session, Filters(search="disk", service="a"), Sort.NEWEST, limit=10)
    assert [own_id for own_id in found if own_id in old] == old
    assert len(found) == len(set(found))


def test_the_more_common_words_are_the_fewer_days_an_answer_searches(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        add(session, "disk" if number % 2 else "memory", description="rare" if number == 7 else "")
    incidents = 1_000_000
    monkeypatch.setattr(search_cost, "SAMPLED_ROWS", 10**9)

    def days(*wanted: str, is_filtered: bool = False, incidents: int = incidents) -> int:
        return search_cost.affordable_days(session, wanted, search._has, incidents, 90, is_filtered=is_filtered)

    assert days("nowhere") == days("nowhere", is_filtered=True) == 90
    assert 1 <= days("disk", "memory") < days("disk", "rare") < days("disk", "nowhere") < 90
    assert days("disk", is_filtered=True) < days("disk")
    assert days("disk", "memory", incidents=10**9) == 1
    # A small table is searched whole, and one that was never counted is small.
    assert days("disk", "memory", incidents=1_000) == days("disk", "memory", incidents=-1) == 90


def has(title: str, wanted: str) -> bool:
    """What the search means, said plainly."""
    return all(re.search(rf"\b{word}", title) for word in wanted.split())
