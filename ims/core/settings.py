"""The settings of a program: one frozen object, built once, from `IMS_*` variables.

A variable of the process environment wins over the same one in `$IMS_STATE_DIR/ims.env`, the file that the role
`ims` writes, so that the programs and a person's `ims` command see one configuration. A secret is named by its file
(`IMS_<NAME>_FILE`) and is read from there; there is no default secret. A bad value refuses to start and names itself.
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
from ims.core.places import default_state_dir

ENV_FILE = "ims.env"
DEFAULT_POOL = "default"
"""The pool of a worker, and of a service, that names none."""
_POOL = re.compile(r"[a-z0-9][a-z0-9.-]{0,127}")


def _pairs(given: object) -> object:
    """`a=b,c=d` as pairs; the key may hold `=`, as the names of LDAP's groups do."""
    if not isinstance(given, str):
        return given
    pairs = [pair.strip().rpartition("=") for pair in given.split(";" if ";" in given else ",") if pair.strip()]
    if not all(equals and key.strip() and value.strip() for key, equals, value in pairs):
        raise ValueError("must be pairs such as group=value, separated by commas, or by semicolons if a name has one")
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


RoleName = Literal["viewer", "responder", "admin"]
Pairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_pairs)]


class Settings(BaseModel):
    """Everything a program is told from outside. Times are seconds, sizes are bytes."""

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
        default=20, ge=1, le=200, description="Most database connections a program holds open."
    )
    secret_key: SecretStr | None = Field(
        default=None, description="Signs the sessions of ims-web; give it by IMS_SECRET_KEY_FILE."
    )
    web_host: str = Field(default="127.0.0.1", description="Address ims-web listens on.")
    web_port: int = Field(default=8080, ge=1, le=65535, description="Port ims-web listens on.")
    web_url: str = Field(default="http://127.0.0.1:8080", description="Address by which people open ims-web.")
    webhook_host: str = Field(default="127.0.0.1", description="Address the webhook listens on.")
    webhook_port: int = Field(default=8081, ge=1, le=65535, description="Port the webhook listens on.")
    worker_metrics_host: str = Field(default="127.0.0.1", description="Address of the worker's metrics.")
    worker_metrics_port: int = Field(default=8082, ge=1, le=65535, description="Port of the worker's metrics.")
    worker_pools: str = Field(
        default=DEFAULT_POOL,
        description="Pools whose runs this worker takes, separated by commas; a service names one by `worker_pool`.",
    )
    prometheus_url: str = Field(default="http://127.0.0.1:9090", description="Prometheus, for links and the demo.")
    alertmanager_url: str = Field(
        default="http://127.0.0.1:9093",
        description="The Alertmanager that source `alertmanager` stands for; what it cut off is fetched here.",
    )
    policy_root: Path | None = Field(default=None, description="Checkout that `ims policy` reads by default.")
    inventory: str = Field(default="inventory/local", description="Inventory inside the policy tree.")
    lease_seconds: float = Field(
        default=15, gt=0, le=3600, description="A run whose worker was silent this long is taken from it."
    )
    run_concurrency: int = Field(default=4, ge=1, le=64, description="Playbooks one worker runs at once.")
    warm_runners: int = Field(
        default=1,
        ge=0,
        le=16,
        description="Processes a worker keeps ready for the next playbooks, each of about 50 MB.",
    )
    fast_concurrency: int = Field(default=8, ge=1, le=64, description="Other jobs one worker does at once.")
    max_body_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=1024,
        description="Largest body the webhook takes; 10,000 alerts are 10 MB.",
    )
    trusted_proxies: str | None = Field(
        default=None,
        description="Networks of the proxies in front of the webhook and of ims-web, separated by commas; only their "
        "X-Forwarded-For is believed.",
    )
    reconciliation_seconds: float = Field(
        default=30, ge=1, le=3600, description="How often a source's own Alertmanager is asked for what was missed."
    )
    reconciliation_grace_seconds: float = Field(
        default=60, ge=0, le=3600, description="How long a notification may be on its way before it counts as missed."
    )
    stale_seconds: float = Field(
        default=300,
        gt=0,
        le=30 * 86400,
        description="Silence after which a source that can be asked is told to be silent.",
    )
    session_hours: float = Field(default=12, gt=0, le=24 * 30, description="How long a sign-in lasts.")
    oidc_issuer: str | None = Field(
        default=None, description="Identity provider by which people sign in, as it names itself; none is none."
    )
    oidc_client_id: str | None = Field(default=None, description="Our name there.")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Our secret there; give it by IMS_OIDC_CLIENT_SECRET_FILE. A public client has none."
    )
    oidc_scopes: str = Field(
        default="openid profile email groups", description="What it is asked to tell, separated by blanks."
    )
    oidc_name_claim: str = Field(
        default="preferred_username", description="Its claim that becomes the account's name at the first sign-in."
    )
    oidc_groups_claim: str = Field(default="groups", description="Its claim that lists a person's groups.")
    oidc_roles: Pairs = Field(
        default=(),
        description="Which group gives which role, such as `sre=responder,leads=admin`; the highest wins.",
    )
    oidc_default_role: RoleName | None = Field(
        default=None, description="Role of somebody in none of those groups; without it they are refused."
    )
    oidc_teams: Pairs = Field(
        default=(),
        description="Which group makes a member of which team, such as `payments=Payments`; other teams stay as they "
        "are.",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` is readable text on a terminal and JSON elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")

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
            raise ValueError("must be names of a-z, 0-9, dots and hyphens, separated by commas")
        return given

    @field_validator("oidc_issuer")
    @classmethod
    def _is_address(cls, given: str | None) -> str | None:
        parts = urlsplit(given or "")
        if given and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("must be the provider's https address, as it names itself")
        # Whoever sits between us and the provider could sign in as anybody.
        if given and parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("must be an https address")
        return given

    @field_validator("oidc_scopes")
    @classmethod
    def _has_openid(cls, given: str) -> str:
        if "openid" not in given.split():
            raise ValueError("must have openid among them")
        return given

    @field_validator("oidc_roles")
    @classmethod
    def _are_roles(cls, given: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        if wrong := sorted({role for _, role in given}.difference(get_args(RoleName))):
            raise ValueError(f"names no role of ours: {', '.join(wrong)}; there are {', '.join(get_args(RoleName))}")
        return given

    @field_validator("oidc_teams")
    @classmethod
    def _are_teams(cls, given: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        if any(len(team) > 128 for _, team in given):
            raise ValueError("names a team with more than 128 characters")
        if any("/" in team or team in (".", "..") for _, team in given):
            raise ValueError("names a team with a slash, or . or ..: no team may be called so")
        return given

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> Self:
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("IMS_OIDC_CLIENT_ID is missing: with IMS_OIDC_ISSUER it is needed")
        if self.oidc_issuer and not self.oidc_roles and self.oidc_default_role is None:
            raise ValueError("IMS_OIDC_ROLES or IMS_OIDC_DEFAULT_ROLE is missing: without both nobody could sign in")
        return self

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools of `worker_pools`, each once."""
        return tuple(dict.fromkeys(pool.strip() for pool in self.worker_pools.split(",") if pool.strip()))

    @property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of `trusted_proxies`."""
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
        raise ConfigurationFaulty(f"{env_file} may not be read by this account.") from error
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
        wrong += [_told(e["loc"], e["msg"]) for e in error.errors(include_input=False)]
    if wrong:
        raise ConfigurationFaulty("Settings are wrong: " + "; ".join(wrong))
    return settings


def _told(place: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    # What is wrong with several variables together names them itself.
    return f"IMS_{str(place[0]).upper()}: {message}" if place else message


def _unknown(from_file: Mapping[str, str]) -> list[str]:
    """One sentence for each variable of `ims.env` that is no setting.

    Only the file is ours: the process environment may hold variables of the command, and those that Kubernetes adds for
    a Service whose name begins with `ims`.
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
    """Read `KEY=value` lines; blank lines and lines beginning with # are passed over."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}
