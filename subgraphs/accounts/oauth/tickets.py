"""A ticket: what a person was shown of a program's request, so that they agree to that and to nothing else.

Bound to the person, their session, the request to the letter and the program as it is registered; good for
ten minutes and for one answer. No other site can have one, so that it also proves where an answer comes from.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection

from authz.identity.subject import Subject
from subgraphs.accounts import device_store
from subgraphs.accounts.model import RuleBroken
from subgraphs.accounts.oauth.calls import OAuthCall
from subgraphs.accounts.oauth.model import ApiClient
from subgraphs.accounts.sessions import RefreshKey

LIFETIME = timedelta(minutes=10)
TICKET_CHARACTERS_MAX = 200
_PURPOSE = "consent"


def ticket(key: RefreshKey, subject: Subject, call: OAuthCall, client: ApiClient, now: datetime) -> str:
    """A new one."""
    ends_at_s = int((now + LIFETIME).timestamp())
    head = f"{ends_at_s}.{secrets.token_urlsafe(16)}"
    return f"{head}.{_seal(key, head, subject, call, client)}"


def use(
    connection: Connection,
    key: RefreshKey,
    given: str,
    *,
    subject: Subject,
    call: OAuthCall,
    client: ApiClient,
    now: datetime,
) -> None:
    """Use up the ticket of what was shown.

    Errors: RuleBroken STALE_REQUEST, the same for a forged, an old, a used and a changed one.
    """
    head, _, seal = given[:TICKET_CHARACTERS_MAX].rpartition(".")
    ends_at_s = head.partition(".")[0]
    good = hmac.compare_digest(seal.encode(), _seal(key, head, subject, call, client).encode())
    in_time = ends_at_s.isdecimal() and now.timestamp() < int(ends_at_s)
    used = hashlib.sha256(f"{_PURPOSE} {given}".encode()).hexdigest()
    if not (good and in_time and device_store.use_proof(connection, used, now=now)):
        raise RuleBroken("STALE_REQUEST", "ticket", "this is not what was shown, or was answered: look again")


def _seal(key: RefreshKey, head: str, subject: Subject, call: OAuthCall, client: ApiClient) -> str:
    shown = [
        head,
        subject.id,
        subject.session_id,
        sorted(call.parameters),
        [client.id, client.name, client.organisation_id, client.approved_by, client.registered_by],
        sorted(client.scopes),
        sorted(client.redirect_uris),
    ]
    return key.seal(_PURPOSE, json.dumps(shown).encode())
