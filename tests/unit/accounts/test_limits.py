"""How often somebody may try a password."""

from ims.accounts.limits import FailureLimit


def test_after_too_many_failures_one_has_to_wait_until_the_first_is_forgotten() -> None:
    limit = FailureLimit(most=3, seconds=60)
    for moment in (0, 10, 20):
        assert limit.wait("bob", moment) == 0
        limit.failed("bob", moment)
    assert limit.wait("bob", 30) == 30
    assert limit.wait("alice", 30) == 0
    assert limit.wait("bob", 60) == 0


def test_a_success_forgets_the_failures() -> None:
    limit = FailureLimit(most=1, seconds=60)
    limit.failed("bob", 0)
    limit.succeeded("bob")
    assert limit.wait("bob", 1) == 0


def test_memory_is_bounded_whatever_names_are_tried() -> None:
    limit = FailureLimit(most=1, seconds=60, keys_kept=100)
    for name in range(1000):
        limit.failed(name, 0)
    assert len(limit._failures) == 100
    assert limit.wait(999, 1) > 0
