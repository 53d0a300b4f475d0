"""Addresses: where a request comes from, behind proxies that are trusted to say so and behind no others.

Source: RFC 7239 for `Forwarded`; `X-Forwarded-For` as proxies write it, the nearest last.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from starlette.types import Scope

from router.admission import Proxies

FORWARDED = "forwarded"
FOR = re.compile(r'(?:^|[;,\s])for\s*=\s*("[^"]*"|[^;,\s]+)', re.IGNORECASE)


class Addresses:
    """Finds the client's address. One an app."""

    def __init__(self, proxies: Proxies) -> None:
        networks = tuple(ipaddress.ip_network(one) for one in proxies.trusted)
        self._header = proxies.header.lower()
        self._trusts_any = bool(networks)

        @lru_cache(maxsize=4_096)
        def trusts(address: str) -> bool:
            found = ipaddress.ip_address(address)
            return any(found in network for network in networks)

        self._trusts = trusts

    def of(self, scope: Scope, headers: Mapping[str, str]) -> str | None:
        """The address of who asked: the last one that no trusted proxy has, read from the nearest on.

        What is no address ends the search there: a client may have written it.
        """
        client = scope.get("client")
        nearest = canonical(client[0]) if client else None
        if not self._trusts_any or nearest is None or not self._trusts(nearest):
            return nearest
        for told in self._told(headers.get(self._header, "")):
            address = canonical(told)
            if address is None:
                break
            nearest = address
            if not self._trusts(address):
                break
        return nearest

    def _told(self, header: str) -> Iterator[str]:
        """The addresses in the header, the nearest first."""
        told = FOR.findall(header) if self._header == FORWARDED else header.split(",")
        return (one.strip().strip('"') for one in reversed(told))


@lru_cache(maxsize=4_096)
def canonical(text: str) -> str | None:
    """An IP address in its one spelling, without port, brackets or zone; None where the text is none.

    An IPv4 address in IPv6 clothes is the IPv4 address: one client has one address.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def network_of(address: str) -> str:
    """Whose requests count together: an IPv4 address, or the /64 that one IPv6 customer chooses from."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False))
