"""Where a call comes from: the client's address, named as a network zone by the operator.

edge -> the Subject's `client_address`, signed into every call -> `network_zone`, named where it is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from authz.identity.subject import Subject

ELSEWHERE = "elsewhere"
"""The zone of an address that is in none, where zones are known."""


@dataclass(frozen=True, slots=True)
class NetworkZones:
    """Names of networks; the first that holds an address names it. Without any, nothing has a zone."""

    networks: tuple[tuple[str, IPv4Network | IPv6Network], ...] = ()

    def of(self, address: str | None) -> str | None:
        """The zone of an address; None where zones or the address are not known."""
        if not self.networks or address is None:
            return None
        try:
            parsed = ip_address(address)
        except ValueError:
            return ELSEWHERE
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        return next((name for name, network in self.networks if mapped in network), ELSEWHERE)

    def placed(self, subject: Subject) -> Subject:
        """The subject with the zone of its address: nobody says their own."""
        if not self.networks:
            return subject
        return replace(subject, network_zone=self.of(subject.client_address))


NO_ZONES = NetworkZones()


def network_zones(named: Mapping[str, list[str]]) -> NetworkZones:
    """Zones by name, each with its networks such as `10.0.0.0/8`, narrow ones first.

    Errors: ValueError for what is no network.
    """
    networks = [(name, ip_network(text)) for name, texts in named.items() for text in texts]
    return NetworkZones(tuple(sorted(networks, key=lambda each: -each[1].prefixlen)))
