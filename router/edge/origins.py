"""Origins: whose pages a browser's own credentials count for where it asks no permission first (WebSocket).

A page of any site can open a WebSocket, and the browser sends its cookies and passwords along. Source:
RFC 6455 §10.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.config import RouterConfig

AMBIENT: Final = ("cookie", "authorization")
"""Headers that a browser adds to a handshake by itself."""


class Origins:
    """The origins that are the router's own, or named in its settings. One an app."""

    __slots__ = ("_checks", "_trusted")

    def __init__(self, config: RouterConfig) -> None:
        own = frozenset("/".join(url.split("/", 3)[:3]) for url in config.public_urls)
        self._checks = config.csrf_prevention
        self._trusted = own | frozenset(config.cors.origins if config.cors.credentials else ())

    def handshake(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers that count: where another site's page opens the socket, not its browser's own."""
        if not self._checks or self._is_own(headers):
            return headers
        return {name: value for name, value in headers.items() if name not in AMBIENT}

    def _is_own(self, headers: Mapping[str, str]) -> bool:
        origin = headers.get("origin")
        if origin is None or origin in self._trusted:
            return True
        return origin.partition("://")[2].lower() == headers.get("host", "").lower()
