"""Zones of networks, devices and hours: named conditions over what is known of the call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authz.classes import DataClass, Purpose, Relation, Role
from authz.decide import Authorizer, Question
from authz.errors import PolicyInvalid
from authz.facts import MemoryFacts
from authz.identity.subject import Subject
from authz.identity.surroundings import ELSEWHERE, network_zones
from authz.policies.rules import read_policy
from tests.kit_authz.people import NOW, a_fact

ZONES = network_zones({"clinic": ["10.1.0.0/16", "2001:db8::/32"], "untrusted": ["10.1.66.0/24"]})
DOCTOR = Subject("doctor", frozenset({Role.MEDICAL_SPECIALIST}), acr=2)


@pytest.mark.parametrize(
    ("address", "zone"),
    [
        ("10.1.2.3", "clinic"),
        ("10.1.66.3", "untrusted"),
        ("2001:db8::1", "clinic"),
        ("::ffff:10.1.2.3", "clinic"),
        ("192.0.2.1", ELSEWHERE),
        ("not an address", ELSEWHERE),
        (None, None),
    ],
)
def test_an_address_is_in_the_narrowest_zone_that_holds_it(address: str | None, zone: str | None) -> None:
    assert ZONES.of(address) == zone
    placed = ZONES.placed(replace(DOCTOR, client_address=address, network_zone="claimed"))
    assert placed.network_zone == zone


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.1\.0\.1/16"):
        network_zones({"clinic": ["10.1.0.1/16"]})


@pytest.mark.parametrize(("address", "allowed"), [("10.1.2.3", True), ("10.1.66.3", False), (None, True)])
async def test_a_record_is_shut_to_a_network_that_is_not_trusted(address: str | None, allowed: bool) -> None:
    facts = MemoryFacts()
    facts.put(a_fact("doctor", Relation.TREATING, "athlete"))
    request = Authorizer(facts, clock=lambda: NOW, zones=ZONES).for_request(
        replace(DOCTOR, client_address=address)
    )
    [answer] = await request.decide([Question("athlete", DataClass.CLINICAL, purpose=Purpose.TREATMENT)])
    assert answer.allowed is allowed
    assert answer.rule == ("clinical-treating" if allowed else "zone-untrusted")


@pytest.mark.parametrize("hours", ["8", "18-8", "8-25", "a-b", "-"])
def test_hours_that_are_none_are_a_problem_of_the_policy(hours: str) -> None:
    with pytest.raises(PolicyInvalid, match="08-18"):
        read_policy(f"p, night, anyone, TRAINING, read, outside_hours:{hours}, *, deny")
