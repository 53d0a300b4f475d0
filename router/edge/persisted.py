"""Persisted documents: a client sends the id of a document instead of its text.

Registered ones come from a manifest and may be the only ones allowed; automatic ones are remembered once a
client has sent hash and text together. Source: the `persistedQuery` extension, version 1; `documentId` of
GraphQL over HTTP.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from router.config import PersistedConfig, Safelist
from router.errors import ClientError
from router.pipeline import GraphQLRequest
from router.snapshot import Cache

log = logging.getLogger("stadion.router.persisted")


class ManifestInvalid(ValueError):
    """A manifest that names no documents; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Registered documents: `for_all` by id, and those of one client alone by client and id."""

    for_all: Mapping[str, str] = field(default_factory=dict)
    for_client: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def find(self, id_: str, client: str | None) -> str | None:
        """The text that a client may name by this id."""
        own = self.for_client.get(client) if client is not None else None
        found = own.get(id_) if own is not None else None
        return self.for_all.get(id_) if found is None else found


def read_manifest(text: bytes) -> Registered:
    """The documents of a manifest of operations (`[{id, body, clientName?}]`) or of a map of id to text.

    Source: Apollo's persisted query manifest; Relay's persisted queries. Errors: ManifestInvalid.
    """
    try:
        decoded = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ManifestInvalid(f"the manifest is not JSON: {error}") from None
    if not isinstance(decoded, dict):
        raise ManifestInvalid("the manifest is neither `operations` nor a map of id to text")
    for_all: dict[str, str] = {}
    for_client: dict[str, dict[str, str]] = {}
    for id_, body, client in _entries(decoded):
        known = for_all if client is None else for_client.setdefault(client, {})
        if not isinstance(id_, str) or not isinstance(body, str) or id_ in known:
            raise ManifestInvalid("every document of the manifest needs its own id and a text")
        known[id_] = body
    return Registered(for_all, for_client)


def _entries(decoded: dict[str, Any]) -> Iterator[tuple[object, object, str | None]]:
    operations = decoded.get("operations")
    if not isinstance(operations, list):
        yield from ((id_, body, None) for id_, body in decoded.items())
        return
    for one in operations:
        if not isinstance(one, dict) or not isinstance(one.get("clientName"), str | None):
            raise ManifestInvalid("every document of the manifest needs its own id and a text")
        yield one.get("id"), one.get("body"), one.get("clientName")


class PersistedDocuments:
    """The documents that clients may name. `registered` are the manifest's; `take` puts others in force."""

    def __init__(
        self, config: PersistedConfig, registered: Registered | Mapping[str, str], *, entries_max: int
    ) -> None:
        self._config = config
        self._remembered: Cache[str, str] = Cache("persisted", entries_max=entries_max)
        self.take(registered if isinstance(registered, Registered) else Registered(registered))

    def take(self, registered: Registered) -> None:
        """Put a manifest in force, whole."""
        self._registered = registered
        self._texts = frozenset(registered.for_all.values())
        self._texts_of = {
            client: frozenset(documents.values()) for client, documents in registered.for_client.items()
        }

    def resolved(
        self, request: GraphQLRequest, safelist: Safelist | None = None, *, client: str | None = None
    ) -> GraphQLRequest:
        """The request with its text, as far as the safelist lets it through (the general one by default).

        Errors: PERSISTED_QUERY_NOT_FOUND (send the text once), _NOT_SUPPORTED, _HASH_MISMATCH,
        _ID_REQUIRED, _NOT_IN_LIST, QUERY_NOT_IN_SAFELIST, CANNOT_SEND_PQ_ID_AND_BODY, BAD_REQUEST.
        """
        id_ = request.document_id or _sha256_of(request)
        registered = self._registered.find(id_, client) if id_ else None
        if registered is not None:
            if request.text not in {"", registered}:
                raise ClientError(
                    "the text is not the one registered under this id; send the id alone",
                    code="CANNOT_SEND_PQ_ID_AND_BODY",
                )
            return replace(request, text=registered)
        safelist = safelist or self._config.safelist
        if safelist is Safelist.IDS_ONLY and id_ is None:
            raise ClientError("send the id of a registered document", code="PERSISTED_QUERY_ID_REQUIRED")
        if safelist is Safelist.IDS_ONLY or request.document_id is not None:
            raise _not_in_list()
        if request.text:
            self._check_text(request, safelist, client)  # before it is remembered
        found = request if id_ is None else self._automatic(request, id_)
        if not request.text:
            self._check_text(found, safelist, client)
        return found

    def _check_text(self, request: GraphQLRequest, safelist: Safelist, client: str | None) -> None:
        if safelist is Safelist.OFF or self._is_registered(request.text, client):
            return
        if safelist is Safelist.KNOWN_TEXTS:
            raise ClientError("the document is not registered", code="QUERY_NOT_IN_SAFELIST")
        # the hash alone: a text may hold literals that are nobody's business
        log.warning("unregistered document %s (%s)", _hash(request.text), _name(request.operation_name))

    def _is_registered(self, text: str, client: str | None) -> bool:
        return text in self._texts or text in self._texts_of.get(client or "", ())

    def _automatic(self, request: GraphQLRequest, sha256: str) -> GraphQLRequest:
        if not self._config.automatic:
            raise ClientError("PersistedQueryNotSupported", code="PERSISTED_QUERY_NOT_SUPPORTED")
        if not request.text:
            text = self._remembered.get(sha256)
            if text is None:
                raise ClientError("PersistedQueryNotFound", code="PERSISTED_QUERY_NOT_FOUND")
            return replace(request, text=text)
        if _hash(request.text) != sha256:
            raise ClientError(
                "the hash is not the SHA-256 of the document", code="PERSISTED_QUERY_HASH_MISMATCH"
            )
        self._remembered.put(sha256, request.text)
        return request


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _name(text: str | None) -> str | None:
    """An operation's name; what is none may hold anything, a line break for the log among it."""
    return text if text is not None and text.isascii() and text.isidentifier() else None


def _not_in_list() -> ClientError:
    return ClientError("no document is registered under this id", code="PERSISTED_QUERY_NOT_IN_LIST")


def _sha256_of(request: GraphQLRequest) -> str | None:
    named = request.extensions.get("persistedQuery")
    if named is None:
        return None
    found = named.get("sha256Hash") if isinstance(named, dict) and named.get("version") == 1 else None
    if not isinstance(found, str) or not found:
        raise ClientError("`persistedQuery` needs `version: 1` and a `sha256Hash`", code="BAD_REQUEST")
    return found
