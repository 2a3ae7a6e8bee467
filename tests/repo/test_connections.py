"""Every connection to the database ends when the network swallows its packets."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPENS = re.compile(r"Connection\.connect\(|psycopg\.connect\(|conninfo=conninfo\(")
OPENERS = [
    path
    for package in ("ims", "webhook")
    for path in sorted((ROOT / package).rglob("*.py"))
    if OPENS.search(path.read_text())
]


def test_the_places_that_connect_are_found() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in OPENERS}
    assert {"ims/core/db/connection.py", "ims/engine/connector.py", "ims/runs/lease.py"} <= names


@pytest.mark.parametrize("path", OPENERS, ids=lambda path: path.name)
def test_a_connection_has_the_networks_deadlines(path: Path) -> None:
    text = path.read_text()
    assert text.count("**NETWORK") == len(OPENS.findall(text))
