"""`ims worker …`: workers that take jobs."""

from typing import Any, Final

from ims.cli.client import api
from ims.cli.group import examples, group
from ims.cli.output import Json, local, note, print_json, print_table

app = group("worker", "Show the workers that take jobs; `ims admin worker` starts one.")

_COLUMNS: Final = ("worker", "host", "state", "leader", "pools", "runs", "version", "started", "heartbeat")


@app.callback()
def worker() -> None:
    """Show the workers that take jobs; `ims admin worker` starts one."""


@app.command("list", epilog=examples("ims worker list", "ims worker list --json"))
def list_workers(as_json: Json = False) -> None:
    """List workers.

    Use it when runs stay queued. It shows live workers, workers lost within the last hour, the leader, and pools with
    waiting runs that no worker serves.
    """
    rows = api().every("/workers")
    if as_json:
        print_json(rows)
        return
    print_table(_COLUMNS, [_row(row) for row in rows], "No workers.")
    for pool in api().get("/workers", limit=1)["unserved_pools"]:
        note(f"{pool['jobs']} runs wait in pool {pool['pool']}, which no worker serves.")


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    leader = "leader" if row["is_leader"] else ""
    return (
        row["id"], row["host"], row["state"], leader, ", ".join(row["pools"]), row["capacity"]["runs"], row["version"],
        local(row["started_at"]), local(row["heartbeat_at"]),
    )  # fmt: skip
