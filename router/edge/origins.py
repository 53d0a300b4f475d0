"""Origins: whose pages may open a WebSocket, and for which of them their browser's own credentials count.

A page of any site can open one: the browser asks no permission first, sends its cookies and passwords along,
and lets the page read all that comes. So the rules for other origins' pages are kept here. Source:
RFC 6455 §10.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.config import RouterConfig

AMBIENT: Final = ("cookie", "authorization")
"""Headers that a browser adds to a handshake by itself."""


ANY: Final = "*"


class Origins:
    """The origins that are the router's own, or named in its settings. One an app."""

    __slots__ = ("_checks", "_named", "_trusted")

    def __init__(self, config: RouterConfig) -> None:
        own = frozenset("/".join(url.split("/", 3)[:3]) for url in config.public_urls)
        self._checks = config.csrf_prevention
        self._named = frozenset(config.cors.origins)
        self._trusted = own | frozenset(self._named if config.cors.credentials else ())

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether who opens a socket may read answers: no browser, the router's own pages, or those named.

        A router without `csrf_prevention` admits all.
        """
        if not self._checks or ANY in self._named or self._is_own(headers):
            return True
        return headers["origin"] in self._named

    def handshake(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers that count: where another site's page opens the socket, not its browser's own."""
        if not self._checks or self._is_own(headers):
            return headers
        return {name: value for name, value in headers.items() if name not in AMBIENT}

    def _is_own(self, headers: Mapping[str, str]) -> bool:
        origin = headers.get("origin")
        if origin is None or origin in self._trusted or headers.get("sec-fetch-site") == "same-origin":
            return True
        return origin.partition("://")[2].lower() == headers.get("host", "").lower()
