"""The parameters of one execution of a playbook, validated before anything is started."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, ValidationError, ValidationInfo, field_validator

from ims.core.errors import FieldError, RunDenied
from ims.policy.environment import ANSIBLE_CFG
from ims.runs.processes import place, this_process
from ims.runs.unsafe import Marked, mark_unsafe

ALERT: Final = "alert"
"""The only extra variable with data from a sender."""

MAX_TIMEOUT: Final = 86_400
"""Seconds."""

_HOST = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]*")
_ENVIRONMENT = re.compile(r"[A-Z][A-Z0-9_]*")

# Ansible's own variables: an extra variable of such a name would override Ansible's value.
_RESERVED_NAMES = frozenset(
    [
        "environment",
        "group_names",
        "groups",
        "hostvars",
        "inventory_dir",
        "inventory_file",
        "inventory_hostname",
        "inventory_hostname_short",
        "item",
        "lookup",
        "omit",
        "play_hosts",
        "playbook_dir",
        "q",
        "query",
        "role_name",
        "role_path",
        "undef",
        "vars",
    ]
) | {ALERT}
_GROUPS_OF_EVERY_INVENTORY = frozenset({"all", "ungrouped"})
# Variables that would load code into every process of the run, or that the run itself sets.
_REFUSED_ENVIRONMENT = re.compile(
    r"ANSIBLE_(?!VAULT_PASSWORD_FILE$).*|LD_.*|PYTHON.*|RUNNER_.*|AWX_.*|IMS_RUN_ID|IMS_RUN_OWNER"
)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all runs of a revision have in common, known before there is a run; see `RunRequest`."""

    policy_root: Path
    environment: Mapping[str, str]
    ansible_cfg: str = ANSIBLE_CFG

    def spec(self) -> dict[str, Any]:
        """Return the part of the child's spec that describes this context and the calling process."""
        return {
            "parent": os.getpid(),
            "owner": this_process().mark(),
            "place": place(),
            "policy_root": str(self.policy_root),
        }


class RunRequest(BaseModel):
    """One playbook, one host, one deadline. Create it with ``RunRequest.check``.

    Errors never contain a value, because a value may come from an attacker or be a secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    run_id: UUID
    policy_root: Path
    """The unpacked, read-only revision; the playbook runs with this as its working directory."""
    inventory: str
    """File or directory, relative to ``policy_root``."""
    playbook: str
    """File, relative to ``policy_root``."""
    hosts: frozenset[str] = Field(repr=False)
    """All host names of the inventory."""
    groups: frozenset[str] = Field(repr=False)
    """All group names of the inventory."""
    limit: str
    """The exact name of the one inventory host this run may touch; never a pattern."""
    alert: SkipValidation[Mapping[str, Any]] = Field(default_factory=dict, repr=False)
    """Any JSON from outside; the playbook sees it as ``alert`` with every string marked unsafe."""
    parameters: SkipValidation[Mapping[str, Any]] = Field(default_factory=dict, repr=False)
    """Declared extra variables; their strings are marked unsafe too, since they may come from the alert."""
    is_check: bool = False
    """Whether Ansible runs in check mode and only reports what it would change."""
    timeout: float = Field(gt=0, le=MAX_TIMEOUT)
    """Seconds from the start of the run's process to its SIGTERM."""
    environment: dict[str, str] = Field(default_factory=dict, repr=False)
    """Added to the run's minimal environment. Readable by every task: no secrets."""
    ansible_cfg: str = ANSIBLE_CFG
    """File relative to ``policy_root``; Ansible's defaults when it does not exist."""

    @field_validator("policy_root")
    @classmethod
    def _is_a_directory(cls, value: Path) -> Path:
        resolved = value.resolve()
        if not resolved.is_dir():
            raise ValueError("is not a directory")
        return resolved

    @field_validator("inventory", "playbook", "ansible_cfg")
    @classmethod
    def _stays_inside(cls, value: str, info: ValidationInfo) -> str:
        root = info.data.get("policy_root")
        if root is None:
            return value  # policy_root itself is invalid
        # Ansible takes an inventory with a comma for a list of host names instead of a path.
        if not value or Path(value).is_absolute() or "," in value or "\0" in value:
            raise ValueError("must be a relative path without a comma")
        path = (root / value).resolve()
        if not path.is_relative_to(root):
            raise ValueError("must stay inside the policy")
        found = path.exists() if info.field_name == "inventory" else path.is_file()
        if not found and info.field_name != "ansible_cfg":
            raise ValueError("does not exist in the policy")
        return value

    @field_validator("limit")
    @classmethod
    def _is_one_host(cls, value: str, info: ValidationInfo) -> str:
        if not _HOST.fullmatch(value):
            raise ValueError("must be the exact name of a host, not a pattern")
        if value in info.data.get("groups", frozenset()) or value in _GROUPS_OF_EVERY_INVENTORY:
            raise ValueError("is the name of a group")
        if value not in info.data.get("hosts", frozenset()):
            raise ValueError("is not a host of the inventory")
        return value

    @field_validator("parameters")
    @classmethod
    def _names_are_harmless(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        # A variable's name is as dangerous as its value: ansible_connection or ansible_ssh_common_args is code.
        for name in value:
            known = isinstance(name, str) and _PARAMETER.fullmatch(name)
            if not known or name.startswith("ansible_") or name in _RESERVED_NAMES:
                raise ValueError("has a name that no parameter may have")
        return value

    @field_validator("environment")
    @classmethod
    def _environment_is_harmless(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _ENVIRONMENT.fullmatch(name) or _REFUSED_ENVIRONMENT.fullmatch(name):
                raise ValueError("has a name that no addition to the environment may have")
            if "\0" in text:
                raise ValueError("has a value with a NUL character")
        return value

    @classmethod
    def check(cls, **fields: Any) -> "RunRequest":
        """Return a request with these fields; raise RunDenied that names every wrong one."""
        try:
            return cls(**fields)
        except ValidationError as error:
            wrong = [
                FieldError(str(fault["loc"][0]) if fault["loc"] else "request", fault["msg"])
                for fault in error.errors(include_input=False, include_context=False, include_url=False)
            ]
            raise RunDenied(fields=wrong) from error

    @property
    def run_context(self) -> RunContext:
        """What this run has in common with the other runs of its revision."""
        return RunContext(self.policy_root, self.environment, self.ansible_cfg)

    def extra_vars(self) -> dict[str, Marked]:
        """Return the run's extra variables, ready for JSON, every string of them marked unsafe."""
        parameters = {name: mark_unsafe(value) for name, value in self.parameters.items()}
        return {**parameters, ALERT: mark_unsafe(self.alert)}

    def path(self, relative: str) -> Path:
        """Return the absolute path of a file of the policy, so that a name like ``-x`` is never an option."""
        return self.policy_root / relative
