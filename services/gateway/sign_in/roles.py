"""What the roles allow that a provider tells, as the setting says."""

from collections.abc import Mapping

from services.gateway.edge.principal import Scope

Roles = Mapping[str, frozenset[Scope]]

EVERYBODY = "*"
"""The role of all who can sign in."""


def parse_roles(text: str) -> Roles:
    """Read ``"clerk=orders:read orders:write, auditor=orders:read"``; raise ValueError."""
    roles: dict[str, frozenset[Scope]] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        role, separator, scopes = entry.partition("=")
        names = scopes.split()
        if not separator or not role.strip() or not names or set(names) - set(Scope):
            raise ValueError(f"{entry[:100]!r} must be ROLE=SCOPES; the scopes are {', '.join(Scope)}")
        roles[role.strip()] = frozenset(map(Scope, names))
    return roles
