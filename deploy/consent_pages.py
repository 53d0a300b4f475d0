"""The consent pages beside a platform: what they ask, accounts answers as it answers anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.routing import BaseRoute

from clients.consent.app import CONSENT_PATH, consent_routes
from router.edge.addresses import Addresses
from router.edge.credentials import Credentials
from router.errors import ClientError

if TYPE_CHECKING:
    from router.admission import Proxies
    from router.execution.transports.in_process import LocalSubgraph

__all__ = ["CONSENT_PATH", "consent_pages"]
_REFUSED: Final[Mapping[str, Any]] = {"data": None, "errors": [{"extensions": {"code": "AUTH_ERROR"}}]}


@dataclass(frozen=True, slots=True)
class AccountsGraph:
    """What the pages ask: accounts alone, of one region or of all."""

    accounts: LocalSubgraph
    credentials: Credentials

    async def ask(
        self, query: str, variables: Mapping[str, Any], *, token: str | None, address: str | None
    ) -> Mapping[str, Any]:
        """See `Graph`. A token that is bound to a key is not believed: no page holds one."""
        try:
            subject = await self.credentials.subject_of(None if token is None else f"Bearer {token}")
        except ClientError:
            return _REFUSED
        if subject.key_thumbprint is not None:
            return _REFUSED
        caller = subject if address is None else replace(subject, client_address=address)
        return await self.accounts.execute(query, dict(variables), None, caller)


def consent_pages(
    accounts: LocalSubgraph, credentials: Credentials, proxies: Proxies
) -> tuple[BaseRoute, ...]:
    """Their routes."""
    addresses = Addresses(proxies)

    def address_of(request: Request) -> str | None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return addresses.of(request.scope, headers)

    return consent_routes(AccountsGraph(accounts, credentials), address_of)
