"""Maps the claims of an identity provider to a person, a role and teams. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ims.accounts.oidc.errors import ProviderFaulty
from ims.core.principal import Role

_ORDER: Final = (Role.VIEWER, Role.RESPONDER, Role.ADMIN)
_LONGEST: Final = 255
"""Maximum length of a subject in OpenID Connect; also used for the name and the e-mail address."""
_MOST_GROUPS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Identity:
    """A person at the identity provider: `subject` never changes, everything else may."""

    issuer: str
    subject: str
    name: str
    email: str
    groups: frozenset[str]
    are_groups_missing: bool = False
    """Whether the provider left the groups out because there are too many: the person may be in any of them."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The configured mapping of groups to roles and teams, as pairs of group and value."""

    roles: tuple[tuple[str, str], ...] = ()
    default_role: str | None = None
    teams: tuple[tuple[str, str], ...] = ()

    @property
    def decide_roles(self) -> bool:
        """Whether groups determine roles; otherwise administrators change them after the first sign-in."""
        return bool(self.roles)

    @property
    def followed_teams(self) -> frozenset[str]:
        """Teams whose membership the groups determine."""
        return frozenset(team for _, team in self.teams)

    def role_of(self, groups: frozenset[str]) -> Role | None:
        """The highest role of these groups, else the default role; None without either."""
        given = [Role(role) for group, role in self.roles if _is_in(group, groups)]
        if given:
            return max(given, key=_ORDER.index)
        return Role(self.default_role) if self.default_role is not None else None

    @property
    def least_role(self) -> Role | None:
        """The role of a new account whose groups are unknown: the least that any groups could give it."""
        if self.default_role is None:
            return None
        possible = [Role(self.default_role), *(Role(role) for _, role in self.roles)]
        return min(possible, key=_ORDER.index)

    def teams_of(self, groups: frozenset[str]) -> frozenset[str]:
        """Teams that these groups belong to."""
        return frozenset(team for group, team in self.teams if _is_in(group, groups))


def _is_in(group: str, groups: frozenset[str]) -> bool:
    """Whether a group of the configuration is one of a person's groups.

    Keycloak sends full paths: `/sre` is the group `sre`, `/sre/leads` is `sre/leads` and never `leads`, which another
    group may have, too.
    """
    name = group.removeprefix("/")
    return name in groups or f"/{name}" in groups


def read_identity(claims: Mapping[str, Any], issuer: str, name_claim: str, groups_claim: str) -> Identity:
    """The person described by verified claims. Raises `ProviderFaulty` if the subject is missing or invalid."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST or not subject.isprintable():
        raise ProviderFaulty
    groups = claim(claims, groups_claim)
    return Identity(
        issuer=issuer,
        subject=subject,
        name=_text(claim(claims, name_claim)).lower(),
        email=_text(claims.get("email")),
        groups=_groups(groups),
        are_groups_missing=_are_missing(claims, groups_claim, groups),
    )


def _are_missing(claims: Mapping[str, Any], groups_claim: str, groups: Any) -> bool:
    """Whether the provider says that it left the groups out, or sent more than IMS reads.

    OpenID Connect Core 5.6.2 has `_claim_names` for claims that are to be fetched elsewhere. Entra ID uses it above 200
    groups, `hasgroups` where the token has to be short, and `groups:src1` in some tokens.
    """
    if groups is not None:
        return isinstance(groups, list) and len(groups) > _MOST_GROUPS
    elsewhere = claims.get("_claim_names")
    top = groups_claim.partition(".")[0]
    names = (groups_claim, top)
    return (
        (isinstance(elsewhere, Mapping) and any(name in elsewhere for name in names))
        or str(claims.get("hasgroups")).lower() == "true"
        or any(str(name).startswith(f"{groups_claim}:src") for name in claims)
    )


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or by a path into nested objects such as `realm_access.roles`."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) and len(value) <= _LONGEST else ""


def _groups(value: Any) -> frozenset[str]:
    given = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return frozenset(group for group in given[:_MOST_GROUPS] if isinstance(group, str))
