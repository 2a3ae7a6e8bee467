"""The scripts of bin/, as far as they can be asked without an installation."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONG = "/srv/" + "long/" * 14


@pytest.mark.parametrize(("given", "used"), [(LONG, "/tmp"), (LONG[:74], LONG[:74])], ids=["long", "short"])
def test_ansible_gets_a_tmpdir_that_is_short_enough_for_its_sockets(given: str, used: str, tmp_path: Path) -> None:
    asked = 'cd "$1" && . bin/environment.sh && use_short_tmpdir >&2 && printf %s "$TMPDIR"'
    done = subprocess.run(
        ["bash", "-euc", asked, "bin/up", str(ROOT)],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": given, "IMS_STATE_DIR": str(tmp_path)},
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    assert done.stdout == used
    assert ("TMPDIR is too long" in done.stderr) == (given != used)


@pytest.mark.parametrize("script", ["up", "down"])
def test_what_starts_ansible_looks_at_tmpdir_before(script: str) -> None:
    lines = (ROOT / "bin" / script).read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if "ansible-" in line)
    assert "use_short_tmpdir" in lines[:first]
