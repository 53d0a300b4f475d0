"""Which of a client's headers a request keeps for the subgraphs: by setting, and by header rules."""

from __future__ import annotations

from collections.abc import Mapping

from router.config import RouterConfig


class Forwarding:
    """Takes those headers out of a request's. Without header rules they are those of `forward_headers`."""

    __slots__ = ("_names", "_patterns")

    def __init__(self, config: RouterConfig) -> None:
        names, self._patterns = config.subgraphs.client_headers()
        self._names = tuple(dict.fromkeys((*config.forward_headers, *sorted(names))))

    def of(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Those of `headers`, whose names are lower case."""
        kept = {name: value for name in self._names if (value := headers.get(name)) is not None}
        if self._patterns:
            kept |= {name: value for name, value in headers.items() if self._matches(name)}
        return kept

    def takes(self, name: str) -> bool:
        """Whether a header of this lower-case name is kept."""
        return name in self._names or self._matches(name)

    def _matches(self, name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in self._patterns)
