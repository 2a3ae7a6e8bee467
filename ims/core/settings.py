"""The settings of a program: one frozen object, built once, from `IMS_*` variables.

A variable of the process environment wins over the same one in `$IMS_STATE_DIR/ims.env`, the file that the role
`ims` writes, so that the programs and a person's `ims` command see one configuration. A secret is read from the file
that `IMS_<NAME>_FILE` names; there is no default secret. A program refuses to start with a wrong value and names the
variable.
"""

import difflib
import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from ims.core.errors import ConfigurationFaulty
from ims.core.net import read_host
from ims.core.places import default_state_dir

ENV_FILE = "ims.env"
DEFAULT_POOL = "default"
"""The pool of a worker, and of a service, that names none."""
_POOL = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}")


def _pairs(given: object) -> object:
    """`a=b,c=d` as pairs; the key may contain `=`, as the names of LDAP groups do."""
    if not isinstance(given, str):
        return given
    pairs = [pair.strip().rpartition("=") for pair in given.split(";" if ";" in given else ",") if pair.strip()]
    if not all(equals and key.strip() and value.strip() for key, equals, value in pairs):
        raise ValueError("must be pairs such as group=value, separated by commas, or by semicolons if a name has one")
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


RoleName = Literal["viewer", "responder", "admin"]
Pairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_pairs)]


class Settings(BaseModel):
    """The configuration of a program. Times are seconds, sizes are bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state_dir: Path = Field(description="Directory that holds everything IMS keeps on this machine.")
    database_url: str = Field(
        default="postgresql://ims_app@127.0.0.1:5433/ims",
        description="PostgreSQL of the programs, role `ims_app`, without a password.",
    )
    database_password: SecretStr | None = Field(
        default=None, description="Password of that role; give it by IMS_DATABASE_PASSWORD_FILE."
    )
    database_owner_url: str = Field(
        default="postgresql://ims_owner@127.0.0.1:5433/ims",
        description="The same database as role `ims_owner`; only `ims admin migrate` uses it.",
    )
    database_owner_password: SecretStr | None = Field(
        default=None, description="Password of the owner; give it by IMS_DATABASE_OWNER_PASSWORD_FILE."
    )
    database_pool_size: int = Field(
        default=20, ge=1, le=200, description="Maximum number of database connections a program holds open."
    )
    database_statement_seconds: float = Field(
        default=30,
        ge=1,
        le=600,
        description="PostgreSQL ends a statement then; a program waits 5 seconds more for the answer.",
    )
    secret_key: SecretStr | None = Field(
        default=None, description="Key that signs the sessions of ims-web; give it by IMS_SECRET_KEY_FILE."
    )
    web_host: str = Field(default="127.0.0.1", description="Address ims-web listens on, such as 127.0.0.1, ::1 or ::.")
    web_port: int = Field(default=8080, ge=1, le=65535, description="Port ims-web listens on.")
    web_url: str = Field(
        default="http://127.0.0.1:8080",
        description="URL at which people open ims-web; a path, as in https://ops.example/ims, becomes the prefix of "
        "all its pages.",
    )
    webhook_host: str = Field(
        default="127.0.0.1", description="Address the webhook listens on, such as 127.0.0.1, ::1 or ::."
    )
    webhook_port: int = Field(default=8081, ge=1, le=65535, description="Port the webhook listens on.")
    worker_metrics_host: str = Field(
        default="127.0.0.1", description="Address on which the worker serves `/metrics` and `/health`."
    )
    worker_metrics_port: int = Field(
        default=8082, ge=1, le=65535, description="Port on which the worker serves `/metrics` and `/health`."
    )
    worker_pools: str = Field(
        default=DEFAULT_POOL,
        description="Pools whose runs this worker takes, separated by commas; a service names its pool in "
        "`worker_pool`.",
    )
    prometheus_url: str = Field(
        default="http://127.0.0.1:9090", description="URL of Prometheus, for links and the demo."
    )
    alertmanager_url: str = Field(
        default="http://127.0.0.1:9093",
        description="URL of the Alertmanager behind source `alertmanager`; IMS fetches truncated alerts from it.",
    )
    policy_root: Path | None = Field(
        default=None, description="Directory of the policy checkout that `ims policy` reads by default."
    )
    inventory: str = Field(default="inventory/local", description="Inventory inside the policy tree.")
    lease_seconds: float = Field(
        default=15,
        gt=0,
        le=3600,
        description="Seconds without a renewed lease before another worker takes over a run.",
    )
    run_concurrency: int = Field(default=4, ge=1, le=64, description="Playbooks one worker runs at once.")
    warm_runners: int = Field(
        default=1,
        ge=0,
        le=16,
        description="Warm runners a worker keeps ready for the next playbooks; each uses about 50 MB of memory.",
    )
    fast_concurrency: int = Field(
        default=8, ge=1, le=64, description="Jobs other than playbooks that one worker does at once."
    )
    max_body_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=1024,
        description="Largest request body the webhook accepts; 10,000 alerts are about 10 MB.",
    )
    request_header_seconds: float = Field(
        default=10, gt=0, le=600, description="How long a client may take to send a request's headers."
    )
    request_body_seconds: float = Field(
        default=60, gt=0, le=3600, description="How long it may then take to send the body."
    )
    connections: int = Field(
        default=2000,
        ge=16,
        le=100_000,
        description="Most connections a serving process of ims-web or the webhook holds open; beyond, the one that has "
        "been silent longest makes room.",
    )
    connections_per_address: int = Field(
        default=500,
        ge=4,
        le=100_000,
        description="The same for the connections from one address, except those of IMS_TRUSTED_PROXIES.",
    )
    trusted_proxies: str | None = Field(
        default=None,
        description="Networks of the proxies in front of the webhook and of ims-web, separated by commas; IMS trusts "
        "X-Forwarded-For and X-Forwarded-Prefix only from them.",
    )
    reconciliation_seconds: float = Field(
        default=30,
        ge=1,
        le=3600,
        description="Seconds between two reconciliations of a source's alerts with its own Alertmanager.",
    )
    reconciliation_grace_seconds: float = Field(
        default=60,
        ge=0,
        le=3600,
        description="Seconds a notification may be under way, beyond the wait of its group, before it is missed.",
    )
    stale_seconds: float = Field(
        default=300,
        gt=0,
        le=30 * 86400,
        description="Seconds without data before a source that has an Alertmanager of its own is reported stale.",
    )
    session_hours: float = Field(default=12, gt=0, le=24 * 30, description="Hours until a session of ims-web expires.")
    oidc_issuer: str | None = Field(
        default=None,
        description="Issuer URL of the OpenID Connect identity provider for single sign-on; without it people sign in "
        "by password only.",
    )
    oidc_client_id: str | None = Field(default=None, description="Client ID of IMS at the identity provider.")
    oidc_client_secret: SecretStr | None = Field(
        default=None,
        description="Client secret of IMS at the identity provider; give it by IMS_OIDC_CLIENT_SECRET_FILE. A public "
        "client has none.",
    )
    oidc_scopes: str = Field(
        default="openid profile email groups",
        description="Scopes IMS requests from the identity provider, separated by spaces.",
    )
    oidc_name_claim: str = Field(
        default="preferred_username", description="Claim that becomes the account's name at the first sign-in."
    )
    oidc_groups_claim: str = Field(default="groups", description="Claim that lists a person's groups.")
    oidc_roles: Pairs = Field(
        default=(),
        description="Role that each group gives, such as `sre=responder,leads=admin`; the highest wins.",
    )
    oidc_default_role: RoleName | None = Field(
        default=None,
        description="Role of people who are in none of these groups; without a default IMS denies them the sign-in.",
    )
    oidc_teams: Pairs = Field(
        default=(),
        description="Team that each group's members join, such as `payments=Payments`; IMS leaves memberships of other "
        "teams as they are.",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` writes readable text to a terminal and JSON elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is logged."
    )

    @field_validator("web_host", "webhook_host", "worker_metrics_host")
    @classmethod
    def _is_listen_address(cls, given: str) -> str:
        return read_host(given)

    @field_validator("web_url")
    @classmethod
    def _is_web_url(cls, given: str) -> str:
        parts = urlsplit(given)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be a URL such as https://ims.example or https://ops.example/ims")
        return given

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, given: str | None) -> str | None:
        for network in (given or "").split(","):
            if network.strip():
                ip_network(network.strip())
        return given

    @field_validator("worker_pools")
    @classmethod
    def _are_pools(cls, given: str) -> str:
        pools = [pool.strip() for pool in given.split(",") if pool.strip()]
        if not pools or not all(_POOL.fullmatch(pool) for pool in pools):
            raise ValueError("must be names of a-z, A-Z, 0-9, dots, hyphens and underscores, separated by commas")
        return given

    @field_validator("oidc_issuer")
    @classmethod
    def _is_address(cls, given: str | None) -> str | None:
        parts = urlsplit(given or "")
        if given and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("must be the provider's https URL, exactly as the provider states it as its issuer")
        # Over plain HTTP an attacker between IMS and the provider could sign in as any account.
        if given and parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("must be an https URL")
        return given

    @field_validator("oidc_scopes")
    @classmethod
    def _has_openid(cls, given: str) -> str:
        if "openid" not in given.split():
            raise ValueError("must include the scope openid")
        return given

    @field_validator("oidc_roles")
    @classmethod
    def _are_roles(cls, given: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        if wrong := sorted({role for _, role in given}.difference(get_args(RoleName))):
            raise ValueError(f"unknown role: {', '.join(wrong)}; the roles are {', '.join(get_args(RoleName))}")
        return given

    @field_validator("oidc_teams")
    @classmethod
    def _are_teams(cls, given: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        if any(len(team) > 128 for _, team in given):
            raise ValueError("names a team with more than 128 characters")
        if any("/" in team or team in (".", "..") for _, team in given):
            raise ValueError("names a team that contains a slash or is . or ..; such team names are not allowed")
        return given

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> Self:
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("IMS_OIDC_CLIENT_ID is missing: IMS_OIDC_ISSUER requires it")
        if self.oidc_issuer and not self.oidc_roles and self.oidc_default_role is None:
            raise ValueError("set IMS_OIDC_ROLES or IMS_OIDC_DEFAULT_ROLE: otherwise no one could sign in")
        return self

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools of `worker_pools` without duplicates."""
        return tuple(dict.fromkeys(pool.strip() for pool in self.worker_pools.split(",") if pool.strip()))

    @property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(one.strip()) for one in (self.trusted_proxies or "").split(",") if one.strip())


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Build the settings from `environment` (the process's own by default) and the state directory's `ims.env`.

    Raises `ConfigurationFaulty` naming every wrong variable at once.
    """
    given = dict(os.environ if environment is None else environment)
    state_dir = Path(given.get("IMS_STATE_DIR") or default_state_dir())
    env_file = state_dir / ENV_FILE
    try:
        from_file = _read_env_file(env_file)
    except PermissionError as error:
        raise ConfigurationFaulty(f"This account has no permission to read {env_file}.") from error
    variables = {**from_file, **given, "IMS_STATE_DIR": str(state_dir)}
    values: dict[str, Any] = {}
    wrong = _unknown(from_file)
    for name in Settings.model_fields:
        variable = f"IMS_{name.upper()}"
        try:
            value = _value(variables, variable)
        except OSError as error:
            wrong.append(f"{variable}_FILE: {error.strerror or 'cannot be read'}")
            continue
        if value is not None:
            values[name] = value
    try:
        settings = Settings(**values)
    except ValidationError as error:
        wrong += [_sentence(e["loc"], e["msg"]) for e in error.errors(include_input=False)]
    if wrong:
        raise ConfigurationFaulty("Invalid settings: " + "; ".join(wrong))
    return settings


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    # A message about several variables together names them itself.
    return f"IMS_{str(place[0]).upper()}: {message}" if place else message


def _unknown(from_file: Mapping[str, str]) -> list[str]:
    """One sentence for each variable of `ims.env` that is not a setting.

    The process environment is not checked: it may hold variables of the command, and those that Kubernetes adds for a
    Service whose name begins with `ims`.
    """
    known = [f"IMS_{name.upper()}" for name in Settings.model_fields]
    unknown = [name for name in from_file if name.removesuffix("_FILE") not in known]
    return [f"{name}: unknown setting{_did_you_mean(name, known)}" for name in unknown]


def _did_you_mean(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _value(variables: Mapping[str, str], variable: str) -> str | None:
    """The value of a variable, or of the file that `<variable>_FILE` names. An empty value counts as not given."""
    if value := variables.get(variable):
        return value
    if path := variables.get(f"{variable}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return None


def _read_env_file(path: Path) -> dict[str, str]:
    """Read `KEY=value` lines; blank lines and lines that begin with # are skipped."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}
