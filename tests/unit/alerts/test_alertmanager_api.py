"""The requests to an Alertmanager, before anything is sent."""

import pytest

from ims.alerts.alertmanager import connect
from ims.core.errors import ConfigurationFaulty


@pytest.mark.parametrize(
    "address",
    [
        "ftp://alerts.example",
        "alerts.example:9093",
        "http:///api",
        "http://alerts.example:99999",
        "http://[::1",
        "http://a b",
    ],
)
def test_an_address_that_is_none_is_refused_before_any_request(address: str) -> None:
    with pytest.raises(ConfigurationFaulty, match="http:// or https:// with a host"), connect(address):
        pass
