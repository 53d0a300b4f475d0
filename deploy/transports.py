"""How the platform's router reaches its subgraphs over HTTP: by URL, each call signed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from router.config import RouterConfig
from router.execution.transport import SubgraphRequest
from router.execution.transports.event_feed import EventFeed
from router.execution.transports.http import HttpTransport, Sign

if TYPE_CHECKING:
    from deploy.assemble import Platform


def internal_secret(platform: Platform) -> bytes:
    """The key that router and subgraphs share: the setting, or this installation's own."""
    given = platform.settings.internal_key
    return given.get_secret_value().encode() if given else platform.secrets("internal-calls")


def signing(secret: bytes) -> Sign:
    """Proof, for each call, of who asks which subgraph with which body."""
    from authz.identity.internal import HEADER_NAME, call_key, sign_call

    key = call_key(secret)

    def sign(request: SubgraphRequest, body: bytes) -> Mapping[str, str]:
        digest = hashlib.sha256(body).hexdigest()
        return {HEADER_NAME: sign_call(request.subject, request.service, digest, key, datetime.now(UTC))}

    return sign


def http_transport(
    urls: Mapping[str, str],
    secret: bytes | None,
    config: RouterConfig | None = None,
    feed: EventFeed | None = None,
) -> HttpTransport:
    """The transport to subgraphs by name and URL; with a secret, each call is signed with it.

    Errors: ValueError, OSError, ssl.SSLError for settings of `subgraphs` that cannot be used.
    """
    config = config or RouterConfig()
    return HttpTransport(
        urls,
        sign=signing(secret) if secret else None,
        traffic=config.subgraphs,
        always=config.forward_headers,
        timeout_s=config.subgraph_timeout_ms_max / 1_000,
        feed=feed,
    )
