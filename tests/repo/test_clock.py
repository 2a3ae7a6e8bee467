"""The database's clock is the only one for what is stored: readers of the machine's clock are listed, with reasons."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLOCKS = re.compile(r"\butc_now\(|\bdatetime\.(?:now|utcnow|today)\(|\bdate\.today\(|\btime\.time\(|=\s*utc_now\b")
MAY_READ = {
    "ims/core/clock.py": "defines it",
    "ims/core/doctor.py": "the difference to the database's clock, which it reports",
    "ims/cli/output.py": "ages that are shown on this machine",
    "ims/cli/demo.py": "counts the seconds of one demonstration",
    "ims/cli/demo_steps.py": "counts the seconds of one demonstration",
    "ims/engine/jobs/runs.py": "the difference to the database's clock, by which the times of events are moved",
    "ims/engine/modules/leftovers.py": "compared with times of files of this machine",
    "ims/runs/supervision/sweep.py": "compared with times of files of this machine",
    "ims/http/front/messages.py": "the header Date of HTTP",
    "ims/runs/supervision/module_files.py": "compared with names of files of this machine",
    "ims/runs/supervision/runner.py": "times of events, moved when they are stored",
    "ims/runs/events.py": "times of events, moved when they are stored",
}


@pytest.mark.parametrize("package", ["ims", "webhook"])
def test_nobody_else_reads_the_clock_of_the_machine(package: str) -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*.py")
        if CLOCKS.search(path.read_text()) and "migrations" not in path.parts
    }
    allowed = {name for name in MAY_READ if name.startswith(f"{package}/")}
    assert readers - allowed == set(), "use database_now(session), Database.now() or Context.now"
    assert allowed - readers == set(), "take these off the list"


def test_no_column_gets_its_time_from_the_machine() -> None:
    """Defaults of the models are by the database, too."""
    for path in (ROOT / "ims").rglob("models.py"):
        assert not re.search(r"default(?:_factory)?=.*now", path.read_text()), path
