"""A restart within a token's lifetime lets no revoked session back in."""

from datetime import timedelta

import pytest

from authz.identity.kept_revocations import KeptRevocations
from authz.identity.revocation import RevokedSessions
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
