"""Faults of a policy, with file and line."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ims.core.errors import FieldError, PolicyFaulty


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault: `file` is relative to the policy tree, `line` and `column` count from 1.

    `line` and `column` are None if Ansible does not report them; `field` is empty if the fault concerns the whole file.
    `message` says what is wrong and how to correct it.
    """

    file: str
    line: int | None
    column: int | None
    field: str
    message: str

    def __str__(self) -> str:
        """`file:line:column: field: message`, without the unknown parts."""
        return ": ".join(part for part in (self.place, self.field, self.message) if part)

    @property
    def place(self) -> str:
        """`file:line:column`, without the unknown parts."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    def to_json(self) -> dict[str, Any]:
        """The fault as an object for `--json`."""
        return asdict(self)


class FaultsFound(PolicyFaulty):
    """The policy has faults and was not activated."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = in_order(faults)
        super().__init__(fields=[FieldError(fault.field or fault.file, str(fault)) for fault in self.faults])


def in_order(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """Faults by place. One wrong line in group_vars may affect a thousand services; it is reported once."""
    unique = {(f.file, f.line, f.column, f.message, f.field if f.line is None else ""): f for f in reversed(faults)}
    return tuple(sorted(unique.values(), key=_by_place))


def _by_place(fault: Fault) -> tuple[str, int, int, str, str]:
    return (fault.file, fault.line or 0, fault.column or 0, fault.field, fault.message)
