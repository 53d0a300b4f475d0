"""Subject: who is asking, as the token proved it. The only caller that decisions and subgraphs know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from authz.classes import DataClass, Role


@dataclass(frozen=True, slots=True)
class RoleLimit:
    """That a role counts for everybody in `classes` alone, else for whom facts say that it is `assigned`."""

    role: Role
    classes: frozenset[DataClass] = frozenset()


@dataclass(frozen=True, slots=True)
class Subject:
    """A caller. `id` is None for an anonymous one, who has no roles.

    `network_zone` is the operator's name of the network that the call came from, `device` what is known of
    the machine in use (`registered`, `attested`, `compromised`); None: nothing is known.

    `acr` is the authentication level (1 password, 2 second factor), `amr` what was proven with (`pwd`, `otp`,
    `mfa`, `pop`: RFC 8176) and `authenticated_at_utc` when. `expires_at_utc` ends open streams.
    `client_id` is the program that acts, `client_class` what the router lets such programs run and how often,
    `organisations` where the caller is a member, or whose program it is.
    `key_thumbprint` names the key that a bearer of the token has to hold; the router's edge asks for proof.
    `client_address` is the IP address that the call came from, as the router's edge found it; of no caller
    inside the platform.
    `limits` has the roles that do not count for everybody, each once; a role that it lacks does.
    `region` is where the caller is at home, `served_in` the region whose rows are asked for, as the decision
    knows it: a policy may keep its rows at home.
    Hashable, so that it can be part of cache keys; it holds no token.
    """

    id: str | None
    roles: frozenset[Role] = frozenset()
    session_id: str | None = None
    acr: int = 0
    amr: frozenset[str] = frozenset()
    authenticated_at_utc: datetime | None = None
    client_id: str | None = None
    client_class: str | None = None
    scopes: frozenset[str] = frozenset()
    organisations: frozenset[str] = frozenset()
    region: str | None = None
    network_zone: str | None = None
    device: str | None = None
    expires_at_utc: datetime | None = None
    client_address: str | None = None
    limits: tuple[RoleLimit, ...] = ()
    served_in: str | None = None
    key_thumbprint: str | None = None

    def __hash__(self) -> int:
        """Of what tells callers apart; equal ones have equal parts. Taken several times a request."""
        return hash((self.id, self.session_id, self.client_address))

    def limit_of(self, role: str) -> RoleLimit | None:
        """How far the role counts; None where it counts for everybody."""
        return next((limit for limit in self.limits if limit.role == role), None)

    @property
    def authenticated(self) -> bool:
        """Whether a valid token was shown."""
        return self.id is not None


ANONYMOUS = Subject(id=None)
