"""From where and how fast a source may send."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims.core.net import client_address
from ims.sources.admission import BURST_SECONDS, AddressRefused, Admission, TokenBucket, TooFast
from ims.sources.tokens import Sender

PROXIES = [ip_network("10.0.0.0/8"), ip_network("::1/128")]
INSIDE = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        # Whoever is no proxy of ours may claim what he likes.
        ("198.51.100.9", ["192.0.2.7"], "198.51.100.9"),
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        # The client wrote the first part, our proxy the last one.
        ("10.0.0.1", ["192.0.2.7, 198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", ["192.0.2.7", "10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::1", ["[2001:db8::5]:4711"], "2001:db8::5"),
        ("10.0.0.1", ["192.0.2.7:4711"], "192.0.2.7"),
        ("::ffff:10.0.0.1", ["::ffff:192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["192.0.2.7, unknown"], None),
        ("10.0.0.1", [""], None),
        ("", ["192.0.2.7"], None),
        (None, [], None),
    ],
)
def test_the_client_is_the_last_one_that_our_own_proxies_saw(
    peer: str | None, forwarded: list[str], expected: str | None
) -> None:
    found = client_address(peer, forwarded, PROXIES)
    assert found == (ip_address(expected) if expected else None)


@given(st.text(), st.lists(st.text()))
def test_no_header_breaks_it(peer: str, forwarded: list[str]) -> None:
    client_address(peer, forwarded, PROXIES)
    assert client_address("198.51.100.9", forwarded, PROXIES) == ip_address("198.51.100.9")


@pytest.mark.parametrize(("peer", "is_let_in"), [("192.0.2.7", True), ("2001:db8::1", True), ("198.51.100.9", False)])
def test_a_source_sends_from_its_networks_only(peer: str, is_let_in: bool) -> None:
    admission, sender = Admission(PROXIES), Sender("shop", "alertmanager", INSIDE)
    if is_let_in:
        admission.let_in(sender, peer, [])
    else:
        with pytest.raises(AddressRefused) as refused:
            admission.let_in(sender, peer, [])
        assert refused.value.status == 403


def test_an_unknown_address_is_refused_where_networks_are_given() -> None:
    with pytest.raises(AddressRefused):
        Admission(PROXIES).let_in(Sender("shop", "alertmanager", INSIDE), "10.0.0.1", ["nonsense"])
    Admission(PROXIES).let_in(Sender("shop", "alertmanager"), "10.0.0.1", ["nonsense"])


def test_a_rate_lets_a_burst_through_and_then_tells_when_to_come_again() -> None:
    clock = Clock()
    admission, sender = Admission(clock=clock), Sender("shop", "alertmanager", rate_limit=5)
    for _ in range(5 * BURST_SECONDS):
        admission.let_in(sender, None, [])
        admission.charge(sender, 1)
    with pytest.raises(TooFast) as refused:
        admission.let_in(sender, None, [])
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    clock.now += 1
    admission.let_in(sender, None, [])


def test_a_batch_larger_than_the_bucket_is_taken_and_paid_for_later() -> None:
    clock = Clock()
    admission, sender = Admission(clock=clock), Sender("shop", "alertmanager", rate_limit=1)
    admission.let_in(sender, None, [])
    admission.charge(sender, 30)
    with pytest.raises(TooFast) as refused:
        admission.let_in(sender, None, [])
    assert refused.value.retry_after == 20
    clock.now += 20.1
    admission.let_in(sender, None, [])


def test_sources_do_not_pay_for_each_other_and_a_changed_rate_counts_at_once() -> None:
    admission = Admission(clock=Clock())
    for name in ("a", "b"):
        admission.let_in(Sender(name, "generic", rate_limit=1), None, [])
        admission.charge(Sender(name, "generic", rate_limit=1), 1000)
    with pytest.raises(TooFast):
        admission.let_in(Sender("a", "generic", rate_limit=1), None, [])
    admission.let_in(Sender("a", "generic", rate_limit=2), None, [])
    admission.let_in(Sender("a", "generic"), None, [])


@given(st.floats(0.01, 1000), st.lists(st.tuples(st.floats(0, 100), st.integers(1, 500)), max_size=60))
def test_over_any_time_no_more_than_rate_and_burst_and_one_batch_goes_through(
    rate: float, requests: list[tuple[float, int]]
) -> None:
    bucket, now, sent, largest = TokenBucket(rate, 0.0), 0.0, 0, 0
    for pause, alerts in requests:
        now += pause
        if bucket.wait(now) == 0:
            bucket.take(alerts)
            sent, largest = sent + alerts, max(largest, alerts)
    assert sent <= max(rate * BURST_SECONDS, 1) + now * rate + largest + 1e-6 * (1 + sent)
