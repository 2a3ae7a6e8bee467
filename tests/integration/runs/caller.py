"""A process that calls for one run, as a worker does; tests kill it.

Arguments: a JSON file with the fields of the request, the run's directory, a file for the result.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ims.runs.events import RunEvent
from ims.runs.execution import execute
from ims.runs.request import RunRequest


async def ignore(_events: Sequence[RunEvent]) -> None:
    """Take a batch."""


def main() -> None:
    fields, directory, answer = (Path(argument) for argument in sys.argv[1:4])
    request = RunRequest.check(**json.loads(fields.read_text()))
    result = asyncio.run(execute(request, directory, on_events=ignore))
    answer.write_text(result.outcome)


if __name__ == "__main__":
    main()
