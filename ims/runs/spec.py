"""The spec of a run: written once, when the run is created, and stored with it. Rules, people and the reconciler create
specs.

The code that prepares, executes or verifies a run reads its spec and not the policy's rules, because a run need not
have a rule.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ims.core.errors import IMSError
from ims.core.settings import DEFAULT_POOL
from ims.policy.schema import VerifyWindow

VERSION = 1
"""Version of the form in which specs are stored."""


class SpecUnreadable(IMSError):
    """Another version of IMS stored the run in a form that this version cannot read."""


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
    """Whether a run changes its target or only reports what it would change."""

    APPLY = "apply"
    CHECK = "check"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class VerificationSpec(_Part):
    """When the service counts as healthy after the run; seconds, as in a rule's `verify`."""

    url: str | None
    """URL to probe. Without it only the resolve of the alert can pass the verification."""
    green_for: float
    within: float
    interval: float

    @classmethod
    def of_window(cls, window: VerifyWindow, url: str | None) -> Self:
        """The verification that a rule declares, of a service with this url."""
        return cls(url=url, green_for=window.green_for, within=window.within, interval=window.interval)


class RunSpec(_Part):
    """One playbook on one target, with its limits."""

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
    pool: str = DEFAULT_POOL
    """Pool of the workers that execute the run: those near its target."""
    lock_keys: tuple[str, ...]
    """Names that the run locks while it is active; no other active run may hold any of them."""
    verification: VerificationSpec | None = None
    """None: the run ends with the playbook."""
    safe_to_repeat: bool = False
    """Whether another run may follow if the end of this one was not observed."""

    @model_validator(mode="before")
    @classmethod
    def _holds_its_target(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "lock_keys" not in given:
            return {**given, "lock_keys": (given.get("target", ""),)}
        return given

    @model_validator(mode="after")
    def _holds_nothing_else(self) -> Self:
        # A run is limited to one host, so it can affect its target only, and a unique index of the database enforces
        # the lock. A run that locks more would need a table of locks first.
        if self.lock_keys != (self.target,):
            raise ValueError("a run holds its target and nothing else")
        return self

    @property
    def is_check(self) -> bool:
        """Whether the run must not change anything."""
        return self.mode is Mode.CHECK

    @property
    def digest(self) -> str:
        """SHA-256 of the whole spec; an approval is bound to it."""
        return hashlib.sha256(json.dumps(self.stored(), sort_keys=True).encode()).hexdigest()

    def stored(self) -> dict[str, Any]:
        """The spec as it is stored in the run's row."""
        return self.model_dump(mode="json")

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Self:
        """A spec from a run's row. Raises `SpecUnreadable`."""
        try:
            return cls.model_validate_json(json.dumps(stored))
        except ValidationError as error:
            raise SpecUnreadable from error
