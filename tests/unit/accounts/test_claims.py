"""Claims of an identity provider, in every shape that providers send them."""

from typing import Any

import pytest

from ims.accounts.oidc.claims import Identity, Rules, read_identity
from ims.accounts.oidc.errors import ProviderFaulty
from ims.core.principal import Role

RULES = Rules((("sre", "responder"), ("leads", "admin"), ("all", "viewer")), None, (("sre", "payments"),))


def identity(**claims: Any) -> Identity:
    return read_identity({"sub": "0815", **claims}, "https://id.example", "preferred_username", "groups")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["a", "b"], {"a", "b"}),
        ("a", {"a"}),
        (["a", 3, None, ["b"], {"c": 1}], {"a"}),
        (None, set()),
        ({"a": 1}, set()),
        ([], set()),
    ],
)
def test_groups_are_a_list_or_one_and_nothing_else(given: Any, read: set[str]) -> None:
    assert identity(groups=given).groups == read


def test_a_claim_may_lie_inside_others_and_a_name_may_have_dots() -> None:
    inside = {"sub": "1", "realm_access": {"roles": ["sre"]}, "https://company.example/groups": ["leads"]}
    assert read_identity(inside, "i", "name", "realm_access.roles").groups == {"sre"}
    assert read_identity(inside, "i", "name", "https://company.example/groups").groups == {"leads"}
    assert read_identity(inside, "i", "name", "realm_access.roles.more").groups == set()


@pytest.mark.parametrize("subject", [None, "", 3, ["a"], "x" * 256, "a\0b", "a\nb"])
def test_claims_without_a_subject_are_refused(subject: Any) -> None:
    with pytest.raises(ProviderFaulty):
        read_identity({"sub": subject}, "i", "name", "groups")


def test_a_name_is_lower_case_and_an_invalid_name_is_empty() -> None:
    assert identity(preferred_username=" Alice ").name == "alice"
    assert [identity(preferred_username=name).name for name in (None, 3, "x" * 300)] == ["", "", ""]


def test_the_highest_role_wins_and_without_one_the_default_or_none() -> None:
    assert RULES.role_of(frozenset({"all", "leads", "sre"})) is Role.ADMIN
    assert RULES.role_of(frozenset({"all", "sre"})) is Role.RESPONDER
    assert RULES.role_of(frozenset({"others"})) is None
    assert Rules(RULES.roles, "viewer").role_of(frozenset({"others"})) is Role.VIEWER
    assert Rules(RULES.roles, "admin").role_of(frozenset({"sre"})) is Role.RESPONDER


def test_only_teams_that_are_named_follow_the_groups() -> None:
    assert (RULES.teams_of(frozenset({"sre"})), RULES.teams_of(frozenset({"leads"}))) == ({"payments"}, set())
    assert RULES.followed_teams == {"payments"}
    assert not Rules().decide_roles


@pytest.mark.parametrize(
    ("claims", "groups_claim", "are_missing"),
    [
        ({"_claim_names": {"groups": "src1"}}, "groups", True),
        ({"_claim_names": {"realm_access": "src1"}}, "realm_access.roles", True),
        ({"_claim_names": {"groups": "src1"}}, "roles", False),
        ({"_claim_names": "groups"}, "groups", False),
        ({"_claim_names": {"groups": "src1"}, "groups": ["sre"]}, "groups", False),
        ({"hasgroups": "false"}, "groups", False),
        ({"groups": [f"g{number}" for number in range(10_001)]}, "groups", True),
    ],
)
def test_only_what_the_provider_says_it_left_out_is_missing(
    claims: dict[str, Any], groups_claim: str, are_missing: bool
) -> None:
    found = read_identity({"sub": "1", **claims}, "i", "name", groups_claim)
    assert found.are_groups_missing is are_missing
