"""Revoked sessions: refused at once, forgotten when nothing is left to refuse, never let back in."""

from datetime import timedelta

import pytest

from authz.errors import FactInvalid
from authz.identity.revocation import RevokedSessions
from tests.kit_authz.people import NOW


def _refuses(revoked, session_id="s", subject_id="ann", *, issued=NOW, now=NOW):
    return revoked.refuses(session_id=session_id, subject_id=subject_id, issued_at_utc=issued, now=now)


def test_a_revoked_session_is_refused_and_others_are_not():
    revoked = RevokedSessions()
    revoked.revoke_session("s", at_utc=NOW)
    assert _refuses(revoked)
    assert not _refuses(revoked, "another")
    assert not _refuses(revoked, None)


def test_a_revoked_subject_loses_all_tokens_so_far_and_none_issued_later():
    revoked = RevokedSessions()
    revoked.apply_event({"subject_id": "ann", "revoked_at_utc": NOW.isoformat()})
    assert _refuses(revoked, "any")
    assert not _refuses(revoked, "any", issued=NOW + timedelta(seconds=1))
    assert not _refuses(revoked, "any", "bob")


def test_an_earlier_event_that_comes_late_changes_nothing():
    revoked = RevokedSessions()
    revoked.revoke_subject("ann", at_utc=NOW)
    revoked.revoke_subject("ann", at_utc=NOW - timedelta(minutes=5))
    assert _refuses(revoked, issued=NOW - timedelta(minutes=1))


def test_entries_are_forgotten_when_no_token_of_theirs_can_live():
    revoked = RevokedSessions()
    revoked.revoke_session("s", at_utc=NOW)
    assert _refuses(revoked, now=NOW + timedelta(minutes=10))
    _refuses(revoked, now=NOW + timedelta(minutes=11))
    assert len(revoked) == 0


def test_past_its_bound_it_forgets_the_oldest_and_refuses_all_tokens_from_before():
    revoked = RevokedSessions(entries_max=2)
    for number in range(3):
        revoked.revoke_session(f"s{number}", at_utc=NOW + timedelta(seconds=number))
    assert len(revoked) == 2
    assert _refuses(revoked, "s0", issued=NOW)
    assert _refuses(revoked, "innocent", issued=NOW - timedelta(minutes=1))
    assert not _refuses(revoked, "innocent", issued=NOW + timedelta(seconds=1))
    assert _refuses(revoked, "s1", issued=NOW + timedelta(seconds=1))


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"session_id": "s"},
        {"revoked_at_utc": NOW.isoformat()},
        {"session_id": "s", "revoked_at_utc": "now"},
        {"session_id": "s", "revoked_at_utc": "2026-01-01T00:00:00"},
        {"session_id": "s", "revoked_at_utc": 5},
    ],
)
def test_an_event_without_session_or_time_is_refused(payload):
    with pytest.raises(FactInvalid):
        RevokedSessions().apply_event(payload)
