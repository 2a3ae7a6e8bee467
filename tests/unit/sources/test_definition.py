"""What may be said about a source."""

import pytest

from ims.alerts.parsers.formats import ALERT_PATHS, FORMATS
from ims.core.errors import Invalid
from ims.sources.definition import OWN_SOURCE, PATHS, SourceKind, check_definition

SHOP = {"name": "shop", "kind": "alertmanager"}


def wrong_fields(**given: object) -> set[str]:
    with pytest.raises(Invalid) as refused:
        check_definition({**SHOP, **given})
    return {field.field for field in refused.value.fields}


def test_networks_are_written_in_one_way() -> None:
    networks = ["192.0.2.7", "10.0.0.0/8", "2001:DB8::/32"]
    assert check_definition({**SHOP, "networks": networks}).networks == ["192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32"]
    mapped = ["::ffff:192.0.2.7", "::ffff:10.0.0.0/104"]
    assert check_definition({**SHOP, "networks": mapped}).networks == ["192.0.2.7/32", "10.0.0.0/8"]


def test_all_wrong_fields_are_named_at_once() -> None:
    assert wrong_fields(name="Shop 1", kind="pigeon", alertmanager_url="ftp://x", rate_limit=0) == {
        "name", "kind", "alertmanager_url", "rate_limit",
    }  # fmt: skip


@pytest.mark.parametrize("network", ["10.0.0.1/8", "anywhere", "300.1.1.1", ""])
def test_what_is_no_network_is_refused(network: str) -> None:
    assert wrong_fields(networks=[network]) == {"networks"}


@pytest.mark.parametrize("receiver", ["", "a\nb", "a\x00b", "\x1b[2J", "x" * 257])
def test_what_is_no_receiver_s_name_is_refused(receiver: str) -> None:
    assert wrong_fields(receiver=receiver) == {"receiver"}


def test_our_own_source_cannot_be_described() -> None:
    assert wrong_fields(name=OWN_SOURCE) == {"name"}


def test_only_those_can_be_asked_that_have_an_alertmanager() -> None:
    assert wrong_fields(kind="generic", alertmanager_url="http://am.example:9093") == {"source"}
    assert check_definition({**SHOP, "alertmanager_url": "http://am.example:9093"}).alertmanager_url


def test_people_see_the_paths_that_the_webhook_takes() -> None:
    assert {PATHS[SourceKind(kind)] for kind in FORMATS} == set(ALERT_PATHS)
    assert {kind for kind in PATHS if kind != SourceKind.HEARTBEAT} == set(FORMATS)
