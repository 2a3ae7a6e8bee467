"""Every setting is documented, refuses nonsense by its own name, and never comes with a secret."""

from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr

from ims.core.errors import ConfigurationFaulty
from ims.core.principal import Role
from ims.core.settings import RoleName, Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs/reference/settings.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_stands_in_the_reference_with_its_meaning_and_default(name: str) -> None:
    field = Settings.model_fields[name]
    row = next((line for line in REFERENCE.splitlines() if line.startswith(f"| `IMS_{name.upper()}`")), "")
    assert field.description
    assert field.description in row
    if field.default not in (None, ()) and name != "state_dir":
        assert f"`{field.default}`" in row


def test_the_reference_names_no_setting_that_does_not_exist() -> None:
    named = {line.split("`")[1] for line in REFERENCE.splitlines() if line.startswith("| `IMS_")}
    assert named == {f"IMS_{name.upper()}" for name in Settings.model_fields}


def test_no_secret_has_a_default() -> None:
    secret = [field for field in Settings.model_fields.values() if field.annotation == SecretStr | None]
    assert secret
    assert all(field.default is None for field in secret)


def test_all_wrong_variables_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFaulty) as raised:
        load_settings({"IMS_STATE_DIR": str(tmp_path), "IMS_WEB_PORT": "eighty", "IMS_LEASE_SECONDS": "-1"})
    assert "IMS_WEB_PORT" in raised.value.message
    assert "IMS_LEASE_SECONDS" in raised.value.message


def test_a_secret_s_missing_file_is_named_and_its_content_never_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFaulty, match="IMS_SECRET_KEY_FILE"):
        load_settings({"IMS_STATE_DIR": str(tmp_path), "IMS_SECRET_KEY_FILE": str(tmp_path / "missing")})
    (tmp_path / "key").write_text("swordfish swordfish")
    settings = load_settings({"IMS_STATE_DIR": str(tmp_path), "IMS_SECRET_KEY_FILE": str(tmp_path / "key")})
    assert "swordfish" not in repr(settings)


def test_the_environment_wins_over_the_state_directory_s_file(tmp_path: Path) -> None:
    (tmp_path / "ims.env").write_text("# made by the role\nIMS_WEB_PORT=8000\nIMS_WEBHOOK_PORT=8001\n")
    settings = load_settings({"IMS_STATE_DIR": str(tmp_path), "IMS_WEB_PORT": "9000"})
    assert (settings.web_port, settings.webhook_port) == (9000, 8001)


def test_trusted_proxies_are_networks_or_refused_by_name(tmp_path: Path) -> None:
    given = {"IMS_STATE_DIR": str(tmp_path), "IMS_TRUSTED_PROXIES": "10.0.0.0/8, ::1,"}
    assert [str(network) for network in load_settings(given).trusted_networks] == ["10.0.0.0/8", "::1/128"]
    with pytest.raises(ConfigurationFaulty, match="IMS_TRUSTED_PROXIES"):
        load_settings({**given, "IMS_TRUSTED_PROXIES": "the proxy"})


OIDC = {"IMS_OIDC_ISSUER": "https://id.example", "IMS_OIDC_CLIENT_ID": "ims", "IMS_OIDC_ROLES": "a=admin"}


def test_groups_are_pairs_also_those_of_a_directory(tmp_path: Path) -> None:
    given = {**OIDC, "IMS_STATE_DIR": str(tmp_path), "IMS_OIDC_ROLES": "cn=sre,dc=example=responder; leads = admin"}
    assert load_settings(given).oidc_roles == (("cn=sre,dc=example", "responder"), ("leads", "admin"))


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("IMS_OIDC_ISSUER", "id.example", "IMS_OIDC_ISSUER"),
        ("IMS_OIDC_ISSUER", "http://id.example", "IMS_OIDC_ISSUER"),
        ("IMS_OIDC_SCOPES", "profile", "IMS_OIDC_SCOPES"),
        ("IMS_OIDC_ROLES", "leads=emperor", "emperor"),
        ("IMS_OIDC_ROLES", "leads", "IMS_OIDC_ROLES"),
        ("IMS_OIDC_DEFAULT_ROLE", "emperor", "IMS_OIDC_DEFAULT_ROLE"),
        ("IMS_OIDC_CLIENT_ID", "", "IMS_OIDC_CLIENT_ID"),
        ("IMS_OIDC_ROLES", "", "IMS_OIDC_DEFAULT_ROLE"),
        ("IMS_OIDC_TEAMS", "a=" + "x" * 129, "IMS_OIDC_TEAMS"),
        ("IMS_OIDC_TEAMS", "a=pay/ments", "IMS_OIDC_TEAMS"),
    ],
)
def test_a_half_or_unsafe_identity_provider_is_refused_by_name(
    tmp_path: Path, variable: str, value: str, named: str
) -> None:
    with pytest.raises(ConfigurationFaulty, match=named):
        load_settings({**OIDC, "IMS_STATE_DIR": str(tmp_path), variable: value})


def test_the_roles_of_the_settings_are_those_of_accounts() -> None:
    assert set(get_args(RoleName)) == set(Role)


def test_pools_are_names_each_once_or_refused(tmp_path: Path) -> None:
    given = {"IMS_STATE_DIR": str(tmp_path)}
    assert load_settings(given).pools == ("default",)
    assert load_settings({**given, "IMS_WORKER_POOLS": "edge, default,edge,"}).pools == ("edge", "default")
    for wrong in (",", "_edge", "a b", "runs:edge", "x" * 129):
        with pytest.raises(ConfigurationFaulty, match="IMS_WORKER_POOLS"):
            load_settings({**given, "IMS_WORKER_POOLS": wrong})


def test_a_misspelt_setting_in_the_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "ims.env").write_text("IMS_STALE_SECOND=60\nIMS_WEB_PORT=80\nCOLOUR=red\n")
    with pytest.raises(ConfigurationFaulty) as refused:
        load_settings({"IMS_STATE_DIR": str(tmp_path), "IMS_WEB_PORT_80_TCP_PROTO": "tcp"})
    assert "IMS_STALE_SECOND: unknown setting; did you mean IMS_STALE_SECONDS?" in refused.value.message
    assert "COLOUR: unknown setting" in refused.value.message
    assert "IMS_WEB_PORT" not in refused.value.message
