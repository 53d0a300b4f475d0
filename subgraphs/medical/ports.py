"""What medical asks of authorization beyond a request's own decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from authz.facts.model import ConsentFact
from subgraphs.kit.subgraph import AuthorizesRequests


class Supposes(AuthorizesRequests, Protocol):
    """The part of authz's `Authorizer` that looks ahead."""

    def at(self, moment: datetime) -> Supposes:
        """The same decisions at a moment to come."""
        ...

    def supposing(self, *consents: ConsentFact) -> AuthorizesRequests:
        """The same decisions, as if these consents were in force."""
        ...
