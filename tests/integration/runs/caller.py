"""A process that calls for one run, as a worker does; tests kill it.

Arguments: a JSON file with the fields of the request, the run's directory, a file for the result, and `spare` if the
run shall find a child that was started ahead.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ims.runs.events import RunEvent
from ims.runs.request import RunRequest
from ims.runs.supervision.execution import execute
from ims.runs.supervision.warm import Spares


async def ignore(_events: Sequence[RunEvent]) -> None:
    """Take a batch."""


async def call(request: RunRequest, directory: Path, *, with_spare: bool) -> str:
    """Execute the run and return its outcome."""
    spares = Spares(directory.parent, int(with_spare))
    if with_spare:
        await spares.keep(request.premises)
        while not spares.are_ready:  # noqa: ASYNC110 - another process gets ready
            await asyncio.sleep(0.02)
    return (await execute(request, directory, on_events=ignore, spares=spares)).outcome


def main() -> None:
    fields, directory, answer = (Path(argument) for argument in sys.argv[1:4])
    request = RunRequest.check(**json.loads(fields.read_text()))
    answer.write_text(asyncio.run(call(request, directory, with_spare="spare" in sys.argv[4:])))


if __name__ == "__main__":
    main()
