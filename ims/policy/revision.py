"""Make a revision of a directory: pack it, read the packed copy, validate the result."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ims.policy.directory import Directory
from ims.policy.faults import Fault, FaultsFound, in_order
from ims.policy.git import GitState, git_state
from ims.policy.reader import read_tree
from ims.policy.schema import Policy
from ims.policy.tree import inventory_of, pack
from ims.policy.unpacking import remove, unpack
from ims.policy.validation import SERVICE_VARIABLES, SETTINGS, gap_warnings, validate


@dataclass(frozen=True, slots=True)
class Revision:
    """A validated policy tree: `digest` is the sha256 of `archive`, and `policy` was read from exactly these bytes."""

    digest: str
    archive: bytes
    policy: Policy
    git: GitState
    warnings: tuple[Fault, ...] = ()
    """What people should know before it runs, and what refuses nothing."""


def make_revision(
    root: Path, inventory: str, *, environment: Mapping[str, str], directory: Directory | None = None
) -> Revision:
    """The revision of the tree in `root` for its inventory `inventory`.

    Reads the packed copy instead of `root`: the validated files are the ones that will run, even if `root` is edited
    meanwhile. People and teams are checked if `directory` says which there are. Raises `FaultsFound` with every fault,
    `TreeFaulty` if the tree cannot be packed, `ReaderFailed` if Ansible cannot read it.
    """
    packed = pack(root, inventory)
    git = git_state(root, environment.get("PATH", os.defpath), packed.parts)
    with tempfile.TemporaryDirectory(prefix="ims-revision-") as scratch:
        copy = unpack(packed.digest, packed.archive, Path(scratch))
        try:
            reading = read_tree(
                copy,
                inventory_of(packed.archive),
                settings=SETTINGS,
                service_variables=SERVICE_VARIABLES,
                environment=environment,
            )
        finally:
            remove(copy)
    policy, faults = validate(reading, packed.files, directory)
    if policy is None:
        raise FaultsFound(faults)
    warnings = [*reading.warnings, *gap_warnings(reading, policy)]
    return Revision(packed.digest, packed.archive, policy, git, in_order(warnings))
