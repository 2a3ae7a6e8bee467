"""The API conforms to its OpenAPI document: schemathesis with all its checks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ims.core.db.engine import Database
from ims.core.settings import Settings
from ims.programs.web import GROUPS
from tests.integration.contract.served import served
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.parametrize("postgres", ["18"], indirect=True)

EXAMPLES = 12
"""For each operation and phase; IMS_SCHEMATHESIS_EXAMPLES=200 looks longer."""
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "not signed in"])
@pytest.mark.timeout(600)
def test_the_api_keeps_its_contract(
    settings: Settings, database: Database, postgres: PostgresServer, signed_in: bool, tmp_path: Path
) -> None:
    with served(settings, database, postgres) as installation:
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "--no-color", "run"]
        command += [f"{installation.address}/api/v1/openapi.json", "--checks", "all"]
        command += ["--max-examples", os.environ.get("IMS_SCHEMATHESIS_EXAMPLES", str(EXAMPLES)), "--seed", "1"]
        if signed_in:
            command += ["--header", f"Authorization: Bearer {installation.token}"]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=580)
    shown = ended.stdout[-6000:] + ended.stderr[-2000:]
    assert ended.returncode == 0, shown
    tested = re.search(r"Operations:\s+(\d+) selected", ended.stdout)
    assert tested, shown
    assert int(tested[1]) == sum(len(group.operations) for group in GROUPS)
