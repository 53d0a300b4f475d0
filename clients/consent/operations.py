"""What the pages ask of the graph, and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

LOG_IN = """mutation LogIn($input: LogInInput!) {
  logIn(input: $input) { accessToken expiresInS userErrors { code message } }
}"""
LOG_OUT = "mutation LogOut { logOut { userErrors { code } } }"
REQUEST = """query Request($input: AuthorizationRequestInput!) {
  me { handle }
  authorizationRequest(input: $input) {
    client { id name kind } meanings { scope words dataClasses } organisation vouchedBy daysMax daysUnusedMax
    ticket userErrors { code }
  }
}"""
ANSWER = """mutation Answer($input: AuthorizationRequestInput!, $scopes: [String!], $ticket: String!) {
  authorizeClient(input: $input, approvedScopes: $scopes, ticket: $ticket) {
    redirectTo userErrors { code message }
  }
}"""
PROGRAMS = """query Programs {
  me { handle authorizations {
    id createdAt lastUsedAt expiresAt client { name } meanings { scope words dataClasses }
  } }
}"""
WITHDRAW = (
    """mutation Withdraw($id: ID!) { withdrawAuthorization(id: $id) { withdrawn userErrors { code } } }"""
)
NOT_LOGGED_IN = frozenset({"AUTH_ERROR", "UNAUTHENTICATED"})
PARAMETERS = {
    "client_id": "clientId",
    "redirect_uri": "redirectUri",
    "code_challenge": "codeChallenge",
    "code_challenge_method": "codeChallengeMethod",
    "response_type": "responseType",
    "scope": "scope",
    "state": "state",
}
"""What a program puts into the address, as the protocol and as the graph name it."""


class Graph(Protocol):
    """Where the pages ask."""

    async def ask(
        self, query: str, variables: Mapping[str, Any], *, token: str | None, address: str | None
    ) -> Mapping[str, Any]:
        """The GraphQL response to whoever holds `token` and asks from `address`; a token that is not to be
        believed is an error AUTH_ERROR."""
        ...


class NotLoggedIn(Exception):
    """The graph does not know who asks."""


class Unanswered(Exception):
    """The graph gave no answer that a page could show."""


def answered(response: Mapping[str, Any], name: str) -> Any:
    """The value of the field `name`.  Errors: NotLoggedIn, Unanswered."""
    codes = {(each.get("extensions") or {}).get("code") for each in response.get("errors") or ()}
    if codes & NOT_LOGGED_IN:
        raise NotLoggedIn
    found = (response.get("data") or {}).get(name)
    if found is None:
        raise Unanswered(name)
    return found


def code_of(payload: Mapping[str, Any]) -> str | None:
    """The code of the first thing that was wrong."""
    return next((str(each["code"]) for each in payload.get("userErrors") or ()), None)
