"""A process that executes one run, as a worker does; tests kill it.

Arguments: a JSON file with the fields of the request, the run's directory, a file for the result, and `warm runner` if
the run shall use a warm runner.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ims.runs.events import RunEvent
from ims.runs.request import RunRequest
from ims.runs.supervision.execution import execute
from ims.runs.supervision.warm import WarmRunners


async def ignore(_events: Sequence[RunEvent]) -> None:
    """Take a batch."""


async def call(request: RunRequest, directory: Path, *, with_spare: bool) -> str:
    """Execute the run and return its outcome."""
    warm_runners = WarmRunners(directory.parent, int(with_spare))
    if with_spare:
        await warm_runners.keep(request.run_context)
        while not warm_runners.are_ready:  # noqa: ASYNC110 - another process gets ready
            await asyncio.sleep(0.02)
    return (await execute(request, directory, on_events=ignore, warm_runners=warm_runners)).outcome


def main() -> None:
    fields, directory, answer = (Path(argument) for argument in sys.argv[1:4])
    request = RunRequest.check(**json.loads(fields.read_text()))
    answer.write_text(asyncio.run(call(request, directory, with_spare="warm runner" in sys.argv[4:])))


if __name__ == "__main__":
    main()
