"""Where a region's machine lets other regions in: signed calls to its subgraphs, and words."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from authz.errors import FactInvalid, InvalidCall
from authz.facts.model import relationship_of
from authz.identity.internal import HEADER_NAME, CallKey, SeenCalls, verify_call
from authz.identity.kept_revocations import KeptRevocations
from authz.identity.revocation import Revocation, RevokedSessions
from authz.trail import access_of
from datastores.errors import StoreError
from datastores.events.outbox import new_event
from deploy.assemble import USER_ERASED, Platform
from deploy.regional.peers import Near, Peer
from deploy.regional.words import (
    BYTES_MAX,
    WORDS,
    AgeAsked,
    EventTold,
    FactTold,
    OAuthAsked,
    PersonAsked,
    RefusalsTold,
    Reply,
    Word,
    call_of,
    path_of,
    service_name,
    told_of,
)
from deploy.revocations import revocations_route
from subgraphs.accounts.oauth.clients_elsewhere import CLIENT_TOLD
from subgraphs.kit.app import subgraph_app

log = logging.getLogger("stadion.regions")
TOLD_TOPICS = frozenset({USER_ERASED, CLIENT_TOLD})
"""All that another region may publish here."""


def gate_routes(platforms: Mapping[str, Platform], key: CallKey) -> tuple[BaseRoute, ...]:
    """The routes of the regions that run here, for whoever holds the regions' key."""
    routes: list[BaseRoute] = [revocations_route(_Revocations(platforms), key)]
    for region, platform in platforms.items():
        near = Near(platform)
        for name, subgraph in platform.subgraphs.items():
            app = subgraph_app(
                subgraph,
                keys=[key],
                ready=near.served(name).ready,
                audience=service_name(region, name),
            )
            routes.append(Mount(path_of(region, name), app))
        routes.append(_words_route(region, near, key))
    return tuple(routes)


@dataclass(frozen=True, slots=True)
class _Revocations:
    """What was revoked in the regions that run here."""

    platforms: Mapping[str, Platform]

    async def since(self, since_utc: datetime) -> list[Revocation]:
        """See `Kept`."""
        kept = (
            KeptRevocations(each.stores.facts_rows, RevokedSessions()) for each in self.platforms.values()
        )
        found = await asyncio.gather(*(each.since(since_utc) for each in kept))
        return sorted((one for part in found for one in part), key=lambda one: one.revoked_at_utc)


def _words_route(region: str, near: Peer, key: CallKey) -> Route:
    seen = SeenCalls()

    async def hear(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > BYTES_MAX:
                return Response(status_code=413)
        digest = hashlib.sha256(body).hexdigest()
        signature = request.headers.get(HEADER_NAME, "")
        try:
            now = datetime.now(UTC)
            verify_call(signature, service_name(region, WORDS), digest, key, now, seen=seen)
            reply = await _heard(near, msgspec.json.decode(body, type=Word))
        except InvalidCall:
            return Response(status_code=403)
        except (msgspec.DecodeError, FactInvalid) as error:
            log.error("another region's word was not understood: %s", error)
            return Response(status_code=400)
        except StoreError:
            return Response(status_code=503)
        return Response(msgspec.json.encode(reply), media_type="application/json")

    return Route(path_of(region, WORDS), hear, methods=["POST"])


async def _heard(near: Peer, word: Word) -> Reply:
    """Errors: FactInvalid for a word that says nothing usable, StoreError."""
    match word:
        case PersonAsked(user_id=user_id):
            return Reply(await near.person(user_id))
        case AgeAsked(user_id=user_id):
            return Reply(of_age=await near.of_age(user_id))
        case FactTold(payload=payload):
            await near.put_fact(relationship_of(payload))
        case EventTold(topic=topic, key=key, payload=payload, at_utc=at_utc):
            if topic not in TOLD_TOPICS:
                raise FactInvalid(f"events of `{topic}` are not another region's to tell")
            await near.tell(new_event(topic, key=key, payload=payload, at_utc=at_utc))
        case OAuthAsked() as asked:
            return Reply(oauth=told_of(await near.oauth(asked.name, call_of(asked))))
        case RefusalsTold(accesses=accesses):
            await near.keep([access_of(each) for each in accesses])
    return Reply()
