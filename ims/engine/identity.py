"""The identity of a worker, by which other workers on its machine can see whether it is still alive."""

import secrets

from ims.runs.processes import is_alive, place, this_process


def new_worker_id() -> str:
    """A worker id for this process, unique for each start."""
    return f"{place()}/{this_process().mark()}/{secrets.token_hex(4)}"


def is_dead(worker_id: str) -> bool:
    """Whether a worker has certainly ended; false for workers of other places, whose processes are not visible here."""
    its_place, _, rest = worker_id.partition("/")
    return its_place == place() and not is_alive(rest.partition("/")[0])
