"""What is wrong with a policy, and where."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ims.core.errors import FieldError, PolicyFaulty


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault: `file` is relative to the policy tree, `line` and `column` count from 1.

    A position is None where Ansible does not tell it; `field` is empty when the fault is the file's as a whole.
    `message` says what is wrong and the remedy.
    """

    file: str
    line: int | None
    column: int | None
    field: str
    message: str

    def __str__(self) -> str:
        """`file:line:column: field: message`, with the parts that are known."""
        return ": ".join(part for part in (self.place, self.field, self.message) if part)

    @property
    def place(self) -> str:
        """`file:line:column`, as far as known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    def to_json(self) -> dict[str, Any]:
        """The fault as an object for `--json`."""
        return asdict(self)


class FaultsFound(PolicyFaulty):
    """The policy has faults and was not activated."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        # One line of group_vars may be wrong for a thousand services: it is told once.
        told = {(f.file, f.line, f.column, f.message, f.field if f.line is None else ""): f for f in reversed(faults)}
        self.faults = tuple(sorted(told.values(), key=_by_place))
        super().__init__(fields=[FieldError(fault.field or fault.file, str(fault)) for fault in self.faults])


def _by_place(fault: Fault) -> tuple[str, int, int, str, str]:
    return (fault.file, fault.line or 0, fault.column or 0, fault.field, fault.message)
