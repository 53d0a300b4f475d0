"""What comes to an OAuth endpoint and what goes back, without HTTP; and the same as Authlib reads it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from authlib.oauth2.rfc6749 import OAuth2Payload, OAuth2Request

from authz.identity.proof_of_possession import Possession

_FREE: Final = frozenset({"state", "client_secret"})
"""Parameters whose values are anybody's: no description of an error tells of them."""
_DESCRIBABLE: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")


@dataclass(frozen=True, slots=True)
class OAuthCall:
    """One request: `parameters` of its form or query in their order, its two headers that count, and where
    it comes from, as attempts are counted. `url` is the endpoint's own, as it is published."""

    method: str
    url: str
    parameters: Sequence[tuple[str, str]]
    authorization: str | None = None
    proof: str | None = None
    origin: str = "unknown"

    def values(self) -> dict[str, str]:
        """Each parameter once; `repeated` tells of those that were given twice."""
        return dict(self.parameters)

    def repeated(self) -> bool:
        """Whether a parameter was given twice, which the protocol forbids."""
        return len(self.parameters) != len({name for name, _ in self.parameters})


@dataclass(slots=True)
class OAuthAnswer:
    """One response. `content` is the members of its JSON; `location` a redirect's target."""

    status: int
    content: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    location: str | None = None

    @property
    def error(self) -> str | None:
        """The protocol's word for what was wrong."""
        found = self.content.get("error")
        return found if isinstance(found, str) else None


def _readable(name: str, value: str) -> str:
    """The value; `unknown` where it has what no word of the protocol has, nor a description that echoes it.

    Source: RFC 6749 §5.2 and appendix A.
    """
    return value if name in _FREE or _DESCRIBABLE.fullmatch(value) else "unknown"


class CallPayload(OAuth2Payload):  # type: ignore[misc]
    """A call's parameters."""

    def __init__(self, call: OAuthCall) -> None:
        parameters = [(name, _readable(name, value)) for name, value in call.parameters]
        self._values = dict(parameters)
        self._listed: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in parameters:
            self._listed[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        """By name."""
        return self._values

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        """All of a name."""
        return self._listed


class CallRequest(OAuth2Request):  # type: ignore[misc]
    """A call, with what was proven of a key beside it."""

    def __init__(self, call: OAuthCall, possession: Possession | None) -> None:
        headers = {} if call.authorization is None else {"Authorization": call.authorization}
        super().__init__(method=call.method, uri=call.url, headers=headers)
        self.payload = CallPayload(call)
        self.possession = possession

    @property
    def args(self) -> dict[str, str]:
        """Parameters of the URL."""
        return self.payload.data

    @property
    def form(self) -> dict[str, str]:
        """Parameters of the body."""
        return self.payload.data
