"""What medical asks of authorization beyond a request's own decisions."""

from __future__ import annotations

from typing import Protocol

from authz.facts.model import ConsentFact
from subgraphs.kit.subgraph import AuthorizesRequests


class Supposes(AuthorizesRequests, Protocol):
    """The part of authz's `Authorizer` that looks ahead."""

    def supposing(self, *consents: ConsentFact) -> AuthorizesRequests:
        """The same decisions, as if these consents were in force."""
        ...
