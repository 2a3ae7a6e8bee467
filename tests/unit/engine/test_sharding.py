"""Each key belongs to one member, and moves only when that member joins or leaves."""

from hypothesis import given
from hypothesis import strategies as st

from ims.core.sharding import EVERYTHING, Shard

MEMBERS = st.frozensets(st.text(min_size=1, max_size=8), min_size=1, max_size=6)
KEYS = st.lists(st.text(max_size=8), unique=True, max_size=20)


def owners(members: frozenset[str], key: str) -> list[str]:
    return [member for member in members if Shard(member, members).owns(key)]


@given(MEMBERS, KEYS)
def test_every_key_has_one_owner(members: frozenset[str], keys: list[str]) -> None:
    assert all(len(owners(members, key)) == 1 for key in keys)


@given(MEMBERS, KEYS, st.text(min_size=1, max_size=8))
def test_a_new_member_takes_keys_only_for_itself(members: frozenset[str], keys: list[str], newcomer: str) -> None:
    for key in keys:
        assert owners(members | {newcomer}, key) in ([newcomer], owners(members, key))


def test_many_keys_are_shared_out() -> None:
    members = frozenset({"a", "b", "c"})
    shares = [sum(Shard(member, members).owns(f"source-{number}") for number in range(300)) for member in members]
    assert min(shares) > 60


def test_a_single_member_owns_all_keys() -> None:
    assert EVERYTHING.owns("anything")
    assert Shard("a").owns("anything")
