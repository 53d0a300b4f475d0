"""Possession: a token that is bound to a key goes in with a proof of that key alone.  Source: RFC 9449 §7."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache

from starlette.types import Scope

from authz.errors import InvalidProof, NonceNeeded
from authz.identity.clock import Clock, now_utc
from authz.identity.proof_nonces import HEADER_NAME as NONCE_HEADER_NAME
from authz.identity.proof_nonces import ProofNonces
from authz.identity.proof_of_possession import HEADER_NAME, SCHEME, SeenProofs, bare_url, possession
from router.admission import ProofNonceSettings
from router.edge.credentials import refused
from router.edge.rate import SharedRates
from router.errors import ClientError

log = logging.getLogger("stadion.router.possession")
NO_NONCES = ProofNonceSettings()


class ProofRefused(ClientError):
    """The proof has to repeat `nonce`; the next one may.  Source: RFC 9449 §9."""

    code = "AUTH_ERROR"

    def __init__(self, nonce: str) -> None:
        super().__init__("the proof of the key needs the nonce of the header `DPoP-Nonce`")
        self.challenge = (
            'www-authenticate: DPoP error="use_dpop_nonce", error_description="repeat the nonce in the proof"'
            f"\r\n{NONCE_HEADER_NAME}: {nonce}\r\n"
        ).encode("latin-1")


class Possessions:
    """Judges the proofs of one app. Each is good for once; where several routers count rates in one store,
    for once among all of them.

    `public_urls` are where clients reach `/graphql`; without any a proof names the port's own address, which
    no request has a say in, as it has in its `Host`.
    """

    def __init__(
        self,
        public_urls: tuple[str, ...],
        *,
        shared: SharedRates | None = None,
        nonces: ProofNonceSettings = NO_NONCES,
        clock: Clock = now_utc,
    ) -> None:
        self._public_urls = frozenset(map(bare_url, public_urls))
        self._seen = SeenProofs(clock=clock)
        self._shared = shared
        self._nonces = ProofNonces(nonces.key.encode() or None, clock=clock) if nonces.required else None
        self._clock = clock

    async def check(
        self, thumbprint: str, authorization: str, scope: Scope, headers: Mapping[str, str]
    ) -> None:
        """Refuse a request whose proof is not of this key, for this token and place, or was used before.

        Errors: AUTH_ERROR, as for any token that is not good; ProofRefused where a nonce is wanted.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != SCHEME:
            raise refused()
        try:
            proven = possession(
                headers.get(HEADER_NAME, ""),
                method=str(scope.get("method", "GET")),  # a WebSocket begins as a GET
                urls=self._public_urls or _own_urls(scope),
                token=token.strip(),
                now_s=self._clock().timestamp(),
                nonces=self._nonces,
            )
        except NonceNeeded as needed:
            raise ProofRefused(needed.nonce) from None
        except InvalidProof:
            raise refused() from None
        if proven.thumbprint != thumbprint or not self._seen.first_time(proven.proof_hash):
            raise refused()
        if self._shared is not None and not await self._is_first(self._shared, proven.proof_hash):
            raise refused()

    async def _is_first(self, shared: SharedRates, proof_hash: str) -> bool:
        """Whether no other router has seen it: of a bucket of one, which is full for longer than a proof is
        good for, the second finds no room."""
        try:
            return await shared.wait_s(f"proof {proof_hash}", per_minute=1, burst=1) <= 0
        except Exception as failure:
            log.warning("proofs are remembered by this router alone: %s", type(failure).__name__)
            return True


def _own_urls(scope: Scope) -> frozenset[str]:
    host, port = scope.get("server") or ("", None)
    secure = str(scope.get("scheme", "http")) in {"https", "wss"}
    return _urls_at(secure, str(host), port, str(scope["path"]))


@lru_cache(maxsize=64)
def _urls_at(secure: bool, host: str, port: int | None, path: str) -> frozenset[str]:
    named = f"[{host}]" if ":" in host else host
    try:
        return frozenset({bare_url(f"{'https' if secure else 'http'}://{named}:{port}{path}")})
    except ValueError:
        return frozenset()
