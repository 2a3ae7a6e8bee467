"""Listen addresses as people write them."""

import pytest

from ims.core.errors import ConfigurationFaulty
from ims.core.net import read_host, with_port
from ims.core.settings import load_settings


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1", "127.0.0.1:80"),
        ("0.0.0.0", "0.0.0.0:80"),  # noqa: S104 - not bound to
        ("localhost", "localhost:80"),
        ("ims.example.org", "ims.example.org:80"),
        ("::1", "[::1]:80"),
        ("[::1]", "[::1]:80"),
        ("::", "[::]:80"),
        ("[::]", "[::]:80"),
        ("2001:DB8:0:0::1", "[2001:db8::1]:80"),
        ("fe80::1%eth0", "[fe80::1%eth0]:80"),
    ],
)
def test_an_address_becomes_the_host_of_a_url(given: str, address: str) -> None:
    assert with_port(read_host(given), 80) == address


def test_an_address_of_ipv4_in_ipv6_has_one_of_its_two_spellings() -> None:
    # Python 3.13 writes the last 32 bits as IPv4.
    assert with_port(read_host("::FFFF:127.0.0.1"), 80) in ("[::ffff:7f00:1]:80", "[::ffff:127.0.0.1]:80")


@pytest.mark.parametrize(
    "given", ["127.0.0.1:8080", "[::1]:8080", "[::1", "::1]", "http://x", "a b", "[localhost]", "unix:/run/x", "*"]
)
@pytest.mark.parametrize("setting", ["IMS_WEB_HOST", "IMS_WEBHOOK_HOST", "IMS_WORKER_METRICS_HOST"])
def test_anything_else_names_the_setting(given: str, setting: str, tmp_path: object) -> None:
    with pytest.raises(ConfigurationFaulty, match=f"{setting}: must be an address or a"):
        load_settings({"IMS_STATE_DIR": str(tmp_path), setting: given})
