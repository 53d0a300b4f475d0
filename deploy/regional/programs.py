"""Endpoints for programs at the door of any region: a code or a token is of the region of whom it is about.

call -> this process's region, then the others, until one knows the grant -> its answer. What a program gets
for itself comes from the region where it is registered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastores.errors import Unavailable
from deploy.oauth_routes import NO_STORE, Answer
from deploy.regional.homes import Homes
from deploy.regional.peers import Peer
from subgraphs.accounts.oauth.answering import client_of
from subgraphs.accounts.oauth.calls import OAuthAnswer, OAuthCall

_NOT_MINE = frozenset({"invalid_grant", "invalid_client", "temporarily_unavailable"})
"""What is said of a grant of another region, of a client that was not heard of yet, or by no region."""
_TOLD = {"error": "temporarily_unavailable", "error_description": "try again in a minute"}
_UNAVAILABLE = OAuthAnswer(503, _TOLD, {**NO_STORE, "retry-after": "10"})


@dataclass(frozen=True, slots=True)
class Programs:
    """The regions as programs meet them."""

    peers: Mapping[str, Peer]
    homes: Homes

    def answers(self) -> Mapping[str, Answer]:
        """What answers, by the endpoint's name."""
        return {"token": self.token, "revoke": self.revoke, "introspect": self.introspect}

    async def token(self, call: OAuthCall) -> OAuthAnswer:
        """Tokens from the region that knows the grant. Of refusals, the one that was nearest to a yes."""
        order = await self._order(call)
        refusals: list[OAuthAnswer] = []
        for region in order[:1] if _for_itself(call) else order:
            answer = await self._asked(region, "token", call)
            if answer.error not in _NOT_MINE:
                return answer
            refusals.append(answer)
        return max(refusals, key=lambda each: (each.status == 503, each.error == "invalid_grant"))

    async def revoke(self, call: OAuthCall) -> OAuthAnswer:
        """Every region forgets it, of which one had it."""
        answers = [await self._asked(region, "revoke", call) for region in await self._order(call)]
        return max(answers, key=lambda each: (each.status == 503, each.status == 200))

    async def introspect(self, call: OAuthCall) -> OAuthAnswer:
        """What the region says that has issued it."""
        answers = [await self._asked(region, "introspect", call) for region in await self._order(call)]
        return max(answers, key=lambda each: (each.content.get("active") is True, each.status))

    async def _asked(self, region: str, name: str, call: OAuthCall) -> OAuthAnswer:
        try:
            return await self.peers[region].oauth(name, call)
        except Unavailable:
            return _UNAVAILABLE

    async def _order(self, call: OAuthCall) -> Sequence[str]:
        """Where to ask: here first, or where the program is registered for what it asks for itself."""
        client_id = client_of(call).removeprefix("client ")
        registered = (await self.homes.known([client_id])).get(client_id, "")
        first = registered if _for_itself(call) and registered in self.peers else self.homes.home
        return [first, *sorted(self.peers.keys() - {first})]


def _for_itself(call: OAuthCall) -> bool:
    return call.values().get("grant_type") == "client_credentials"
