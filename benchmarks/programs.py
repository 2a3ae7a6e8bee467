"""Programs under measurement: started on free ports, each in a process group of its own, stopped by its id."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
STOP_SECONDS = 10


class BenchmarkFailed(Exception):
    """A program did not start, or answered something that makes the figure worthless."""


def free_environment() -> dict[str, str]:
    """The environment of a measured program: nothing of this shell's but where programs are found."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str], cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """A program for the time of the block; its output goes to `log`.

    Its group is its own, so that Ctrl-C reaches this script alone, which then stops everything in order.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=cwd, env=dict(environment),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and whatever it left in its group."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for_answer(process: subprocess.Popen[bytes], url: str, log: Path, *, seconds: float = 60) -> None:
    """Wait until something below status 500 comes from `url`. Raises `BenchmarkFailed` with the end of the log."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
                return
        except urllib.error.HTTPError as answer:
            if answer.code < 500:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise BenchmarkFailed(f"{url} does not answer:\n{log.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory for everything a run writes, removed at its end; the programs' logs are shown when it fails.

    Other accounts may enter: PostgreSQL refuses to run as root, so a root's run starts it as `nobody`.
    """
    directory = Path(tempfile.mkdtemp(prefix="ims-bench-"))
    try:
        directory.chmod(0o755)
        yield directory
    except BenchmarkFailed:
        for log in sorted(directory.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
        raise
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def stop_on_sigterm() -> None:
    """Make SIGTERM unwind the blocks like Ctrl-C does, so that nothing is left running."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def cached_environment(name: str, *requirements: str) -> Path:
    """A virtualenv with `requirements`, made once and kept beside our other caches; returns its directory.

    The other products of a comparison need libraries of their own, which never mix with ours.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ims/benchmarks" / name
    complete = cache / "requirements.txt"
    wanted = "\n".join(requirements)
    if complete.is_file() and complete.read_text() == wanted:
        return cache
    print(f"installing {', '.join(requirements)} for the comparison", file=sys.stderr, flush=True)
    shutil.rmtree(cache, ignore_errors=True)
    cache.parent.mkdir(parents=True, exist_ok=True)
    uv = _find_uv()
    environment = os.environ | {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    # The interpreter behind our own environment, so that both sides of a ratio run on the same one.
    interpreter = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
    for arguments in (
        ["venv", "--quiet", "--python", interpreter, str(cache)],
        ["pip", "install", "--quiet", "--python", str(cache / "bin/python"), *requirements],
    ):
        subprocess.run([uv, *arguments], check=True, env=environment, stdin=subprocess.DEVNULL)
    complete.write_text(wanted)
    return cache


def _find_uv() -> str:
    """The uv that `make up` uses, installed if there is none. Raises `BenchmarkFailed`."""
    script = 'source bin/environment.sh; find_uv "$1" /dev/stderr'
    found = subprocess.run(
        ["bash", "-c", script, "bash", sys.executable],
        cwd=ROOT, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if found.returncode:
        raise BenchmarkFailed("uv is missing and could not be installed: see the lines above.")
    return found.stdout.strip()
