"""Storing and activating revisions, on the real PostgreSQL."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from ims.core.db.engine import Database
from ims.core.errors import NotFound
from ims.policy import queries, unpacking
from ims.policy.git import GitState
from ims.policy.models import PolicyActivation, PolicySnapshot
from ims.policy.queries import NoPolicy, active_policy, require_active_policy, unpack_revision
from ims.policy.revision import Revision
from ims.policy.schema import Policy, Service
from ims.policy.tree import TreeFaulty, pack
from ims.policy.unpacking import remove
from ims.policy.usecases import PolicyWithoutServices, store_and_activate
from tests.integration.policy.conftest import INVENTORY
from tests.support.context import ALICE, by

CLEAN = GitState("a" * 40, False)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a new process as far as what was cached goes."""
    monkeypatch.setattr(queries, "_seen", {})
    monkeypatch.setattr(unpacking, "_seen_intact", {})


def revision(tree: Path, *names: str, git: GitState = CLEAN) -> Revision:
    """A revision of the tree that has these services; the archive is real, the policy is made here."""
    (tree / "playbooks/names.yml").write_text(f"# {names}\n")
    packed = pack(tree, INVENTORY)
    policy = Policy(inventory=INVENTORY, services={name: Service(name=name) for name in names})
    return Revision(packed.digest, packed.archive, policy, git)


def activations(session: Session) -> int:
    return session.execute(select(func.count()).select_from(PolicyActivation)).scalar_one()


def test_before_the_first_load_there_is_no_policy(session: Session) -> None:
    assert active_policy(session) is None
    with pytest.raises(NoPolicy):
        require_active_policy(session)


def test_a_loaded_revision_is_the_active_policy(session: Session, tree: Path) -> None:
    loaded = revision(tree, "web")
    assert store_and_activate(by(session, ALICE, NOW), loaded)
    active = require_active_policy(session)
    assert (active.digest, active.inventory, active.actor) == (loaded.digest, INVENTORY, "alice")
    assert active.policy == loaded.policy
    assert active.activated_at == NOW
    assert (active.git_commit, active.git_dirty) == ("a" * 40, False)


def test_loading_the_same_again_changes_nothing(session: Session, tree: Path) -> None:
    loaded = revision(tree, "web")
    assert store_and_activate(by(session, ALICE, NOW), loaded)
    assert not store_and_activate(by(session, ALICE, NOW + timedelta(hours=1)), loaded)
    assert activations(session) == 1
    assert require_active_policy(session).activated_at == NOW


def test_the_commit_label_follows_without_a_new_activation(session: Session, tree: Path) -> None:
    dirty = revision(tree, "web", git=GitState("a" * 40, True))
    store_and_activate(by(session, ALICE, NOW), dirty)
    assert require_active_policy(session).git_dirty is True
    assert not store_and_activate(by(session, ALICE, NOW), replace(dirty, git=GitState("b" * 40, False)))
    active = require_active_policy(session)
    assert (active.git_commit, active.git_dirty) == ("b" * 40, False)


def test_a_new_revision_takes_over_and_the_old_one_can_come_back(session: Session, tree: Path) -> None:
    one, two = revision(tree, "web"), revision(tree, "web", "db")
    assert store_and_activate(by(session, ALICE, NOW), one)
    assert store_and_activate(by(session, ALICE, NOW), two)
    assert set(require_active_policy(session).policy.services) == {"web", "db"}
    assert store_and_activate(by(session, ALICE, NOW), one)
    assert set(require_active_policy(session).policy.services) == {"web"}
    assert activations(session) == 3


def test_the_same_bytes_read_differently_are_a_change(session: Session, tree: Path) -> None:
    loaded = revision(tree, "web")
    store_and_activate(by(session, ALICE, NOW), loaded)
    require_active_policy(session)
    newer = replace(loaded, policy=loaded.policy.model_copy(update={"healing_mode": "observe"}))
    assert store_and_activate(by(session, ALICE, NOW), newer)
    assert require_active_policy(session).policy.healing_mode == "observe"


def test_a_policy_that_lost_all_its_services_is_refused(session: Session, tree: Path) -> None:
    store_and_activate(by(session, ALICE, NOW), revision(tree, "web"))
    empty = revision(tree)
    with pytest.raises(PolicyWithoutServices, match="--allow-empty"):
        store_and_activate(by(session, ALICE, NOW), empty)
    assert set(require_active_policy(session).policy.services) == {"web"}
    assert store_and_activate(by(session, ALICE, NOW), empty, allow_empty=True)
    assert require_active_policy(session).policy.services == {}


def test_a_first_policy_may_be_without_services(session: Session, tree: Path) -> None:
    assert store_and_activate(by(session, ALICE, NOW), revision(tree))
    assert store_and_activate(by(session, ALICE, NOW), revision(tree, "web"))


def test_a_policy_is_parsed_once_for_each_activation(
    session: Session, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_and_activate(by(session, ALICE, NOW), revision(tree, "web"))
    first = require_active_policy(session).policy
    assert require_active_policy(session).policy is first
    store_and_activate(by(session, ALICE, NOW), revision(tree, "db"))
    assert set(require_active_policy(session).policy.services) == {"db"}


def test_loading_at_the_same_time_activates_once(database: Database, tree: Path) -> None:
    loaded = revision(tree, "web")
    start, changed = threading.Barrier(4), []

    def load() -> None:
        start.wait(10)
        with database.begin() as session:
            changed.append(store_and_activate(by(session, ALICE, NOW), loaded))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(changed) == [False, False, False, True]
    with database.begin() as session:
        assert activations(session) == 1


def test_a_stored_revision_is_unpacked_and_fetched_once(session: Session, tree: Path, tmp_path: Path) -> None:
    loaded = revision(tree, "web")
    store_and_activate(by(session, ALICE, NOW), loaded)
    target = unpack_revision(session, loaded.digest, tmp_path / "state")
    statements: list[str] = []
    connection = session.connection()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    try:
        assert (target / "playbooks/names.yml").read_text() == "# ('web',)\n"
        assert unpack_revision(session, loaded.digest, tmp_path / "state") == target
        assert statements == []
    finally:
        event.remove(connection, "before_cursor_execute", note)
        remove(target)


def test_an_unknown_or_damaged_revision_is_not_unpacked(session: Session, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        unpack_revision(session, "0" * 64, tmp_path / "state")
    loaded = revision(tree, "web")
    store_and_activate(by(session, ALICE, NOW), loaded)
    stored = session.get_one(PolicySnapshot, loaded.digest)
    stored.archive = stored.archive[:-1]
    session.flush()
    with pytest.raises(TreeFaulty):
        unpack_revision(session, loaded.digest, tmp_path / "state")
