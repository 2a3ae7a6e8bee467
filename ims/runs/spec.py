"""What a run is to do: said once, when it is made, and kept with it. Rules, people and the reconciler make specs.

Whoever prepares, executes or verifies a run reads its spec and nothing else of the policy's rules: a run may have none.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ims.core.errors import IMSError
from ims.policy.schema import VerifyWindow

VERSION = 1
"""Of the form in which a spec is stored."""


class SpecUnreadable(IMSError):
    """The run was stored by another version of IMS, which described runs differently."""


class Kind(StrEnum):
    """What a run is for."""

    HEAL = "heal"
    OPERATE = "operate"
    CHAOS = "chaos"
    PLAN = "plan"
    APPLY = "apply"
    DRIFT = "drift"
    CHECK = "check"


class Mode(StrEnum):
    """Whether a run changes its target or only says what it would change."""

    APPLY = "apply"
    CHECK = "check"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class VerificationSpec(_Part):
    """When the service counts as healthy after the run; seconds, as in a rule's `verify`."""

    url: str | None
    """What is probed. Without it the resolve of the alert is the only sign."""
    green_for: float
    within: float
    interval: float

    @classmethod
    def of_window(cls, window: VerifyWindow, url: str | None) -> Self:
        """The verification that a rule declares, of a service with this url."""
        return cls(url=url, green_for=window.green_for, within=window.within, interval=window.interval)


class RunSpec(_Part):
    """One playbook on one target, and all that bounds it."""

    version: Literal[1] = 1
    kind: Kind
    playbook: str
    """Path in the policy tree."""
    target: str
    """Exact inventory name of the one host that the run may touch."""
    parameters: dict[str, str | int | bool] = Field(default={}, repr=False)
    mode: Mode = Mode.APPLY
    timeout: float = Field(gt=0, le=86_400)
    """Seconds after which the playbook is stopped."""
    lock_keys: tuple[str, ...]
    """What the run holds while it is active; nobody else may hold any of it."""
    verification: VerificationSpec | None = None
    """None: the end of the playbook is the end of the run."""
    safe_to_repeat: bool = False
    """Whether the run may be followed by another one when nobody saw its end."""

    @model_validator(mode="before")
    @classmethod
    def _holds_its_target(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "lock_keys" not in given:
            return {**given, "lock_keys": (given.get("target", ""),)}
        return given

    @model_validator(mode="after")
    def _holds_nothing_else(self) -> Self:
        # A run is limited to one host, so its target is all that it can disturb, and an index of the database sees to
        # it. Whoever wants a run that holds more needs a table of locks first.
        if self.lock_keys != (self.target,):
            raise ValueError("a run holds its target and nothing else")
        return self

    @property
    def is_check(self) -> bool:
        """Whether nothing is to be changed."""
        return self.mode is Mode.CHECK

    @property
    def digest(self) -> str:
        """SHA-256 of everything it says: what an approval is bound to."""
        return hashlib.sha256(json.dumps(self.stored(), sort_keys=True).encode()).hexdigest()

    def stored(self) -> dict[str, Any]:
        """As it stands in the run's row."""
        return self.model_dump(mode="json")

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Self:
        """A spec from a run's row. Raises `SpecUnreadable`."""
        try:
            return cls.model_validate_json(json.dumps(stored))
        except ValidationError as error:
            raise SpecUnreadable from error
