"""One installation for all acceptance tests: they run in order, each on the state that the one before left."""

from collections.abc import Iterator

import pytest

from tests.support.installation import Installation


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """Everything running, started by `make up`."""
    installation = Installation.create()
    try:
        installation.run("make", "up")
        yield installation
    finally:
        installation.remove()
