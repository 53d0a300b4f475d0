"""The client's address: believed only as far as trusted proxies wrote it, and signed on to subgraphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from authz.identity.subject import Subject
from router.admission import Proxies
from router.config import RouterConfig
from router.edge.addresses import Addresses, canonical
from tests.kit_edge.running import running

TRUSTED = Proxies(trusted=("10.0.0.0/8", "fd00::/8"))


def found(proxies: Proxies, peer: str | None, told: str, header: str = "x-forwarded-for") -> str | None:
    return Addresses(proxies).of({"client": (peer, 1) if peer else None}, {header: told} if told else {})


@pytest.mark.parametrize(
    ("peer", "told", "expected"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        # nobody is a proxy whose connection does not come from one
        ("192.0.2.1", "198.51.100.9", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        # what the client itself wrote stands further left and is not reached
        ("10.0.0.1", "127.0.0.1, 198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "198.51.100.9, 10.1.1.1, 10.2.2.2", "198.51.100.9"),
        ("10.0.0.1", "10.3.3.3, 10.1.1.1", "10.3.3.3"),
        ("10.0.0.1", "1.2.3.4, nonsense, 10.1.1.1", "10.1.1.1"),
        ("10.0.0.1", "' OR 1=1 --", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("fd00::1", "2001:DB8:0:0::7", "2001:db8::7"),
        ("10.0.0.1", "198.51.100.9:51234", "198.51.100.9"),
        ("10.0.0.1", "[2001:db8::7]:51234", "2001:db8::7"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.9", "198.51.100.9"),
        (None, "198.51.100.9", None),
    ],
)
def test_the_nearest_address_that_no_trusted_proxy_has_is_the_clients(peer, told, expected) -> None:
    assert found(TRUSTED, peer, told) == expected


def test_without_trusted_proxies_a_header_says_nothing() -> None:
    assert found(Proxies(), "10.0.0.1", "198.51.100.9") == "10.0.0.1"


def test_the_standard_header_is_read_too() -> None:
    proxies = Proxies(trusted=("10.0.0.0/8",), header="forwarded")
    told = 'for=192.0.2.60;proto=http;by=203.0.113.43, for="[2001:db8:cafe::17]:4711";host=x, for=10.1.1.1'
    assert found(proxies, "10.0.0.1", told, "forwarded") == "2001:db8:cafe::17"
    assert found(proxies, "10.0.0.1", "for=_hidden", "forwarded") == "10.0.0.1"


def test_one_address_has_one_spelling() -> None:
    assert canonical("2001:0DB8::0001") == canonical("2001:db8:0::1") == "2001:db8::1"
    assert canonical("fe80::1%eth0") == "fe80::1"
    assert canonical("") is None


async def test_subgraphs_are_told_the_address_of_who_asks() -> None:
    seen: list[Subject] = []
    config = RouterConfig(proxies=Proxies(trusted=("127.0.0.0/8",)))
    async with running(config) as router:
        plain = router.hall.execute

        async def execute(
            query: str, variables: dict[str, Any], name: str | None, subject: Subject
        ) -> Mapping[str, Any]:
            seen.append(subject)
            return await plain(query, variables, name, subject)

        router.hall.execute = execute  # type: ignore[method-assign]
        await router.post({"query": "{ hello }"}, **{"x-forwarded-for": "198.51.100.9"})
        await router.post({"query": "{ hello }"})
    assert [it.client_address for it in seen] == ["198.51.100.9", "127.0.0.1"]
    assert not any(it.authenticated for it in seen)
