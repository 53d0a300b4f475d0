"""A restart within a token's lifetime lets no revoked session back in."""

import asyncio
from datetime import timedelta

import pytest

from authz.identity.kept_revocations import KeptRevocations, follow
from authz.identity.revocation import TOPIC, RevokedSessions
from datastores.events.live import Subscribers
from datastores.events.outbox import new_event
from tests.kit_authz.people import NOW

pytestmark = pytest.mark.parametrize("unopened_facts", ["sqlite", "postgresql"], indirect=True)


async def _after_restart(relational, clock) -> RevokedSessions:
    revoked = RevokedSessions()
    await KeptRevocations(relational, revoked, clock=clock).open()
    return revoked


def _refuses(revoked, clock, session_id="s", subject_id="ann", *, issued=NOW) -> bool:
    return revoked.refuses(session_id=session_id, subject_id=subject_id, issued_at_utc=issued, now=clock())


async def test_a_revocation_counts_at_once_and_after_a_restart(facts, unopened_facts, clock):
    revoked = RevokedSessions()
    kept = KeptRevocations(unopened_facts, revoked, clock=clock)
    await kept.apply_event({"session_id": "s", "revoked_at_utc": NOW.isoformat()})
    assert _refuses(revoked, clock)

    clock.forward(minutes=9)
    again = await _after_restart(unopened_facts, clock)
    assert _refuses(again, clock)
    assert not _refuses(again, clock, "another")


async def test_the_later_of_two_revocations_of_a_subject_is_kept(facts, unopened_facts, clock):
    kept = KeptRevocations(unopened_facts, RevokedSessions(), clock=clock)
    for minutes in (5, 3):
        at_utc = NOW + timedelta(minutes=minutes)
        await kept.apply_event({"subject_id": "ann", "revoked_at_utc": at_utc.isoformat()})
    clock.forward(minutes=6)
    again = await _after_restart(unopened_facts, clock)
    assert _refuses(again, clock, issued=NOW + timedelta(minutes=4))
    assert not _refuses(again, clock, issued=NOW + timedelta(minutes=6))


async def test_what_no_token_can_need_any_more_is_not_kept(facts, unopened_facts, clock):
    kept = KeptRevocations(unopened_facts, RevokedSessions(), clock=clock)
    await kept.apply_event({"session_id": "old", "revoked_at_utc": NOW.isoformat()})
    clock.forward(minutes=11)
    await kept.apply_event({"session_id": "new", "revoked_at_utc": clock().isoformat()})
    assert len(await _after_restart(unopened_facts, clock)) == 1
    clock.now = NOW
    assert len(await _after_restart(unopened_facts, clock)) == 1


async def test_another_process_hears_of_it_by_its_event_and_where_that_is_lost_by_looking(
    facts, unopened_facts, clock
):
    here, there = RevokedSessions(), KeptRevocations(unopened_facts, RevokedSessions(), clock=clock)
    kept, live = KeptRevocations(unopened_facts, here, clock=clock), Subscribers()
    following = asyncio.create_task(follow(changes := live.add([TOPIC], None), kept, every_s=0.01))
    for payload in ({"session_id": "odd"}, {"session_id": "told", "revoked_at_utc": NOW.isoformat()}):
        live.dispatch(new_event(TOPIC, key="k", payload=payload, at_utc=NOW))
    await there.apply_event({"session_id": "lost", "revoked_at_utc": NOW.isoformat()})
    async with asyncio.timeout(20):
        while not (_refuses(here, clock, "told") and _refuses(here, clock, "lost")):
            await asyncio.sleep(0.005)
    assert not _refuses(here, clock, "another")
    await changes.aclose()
    await following
