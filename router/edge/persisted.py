"""Persisted documents: a client sends the id of a document instead of its text.

Registered ones come from a manifest and may be the only ones allowed; automatic ones are remembered once a
client has sent hash and text together. Source: the `persistedQuery` extension, version 1; `documentId` of
GraphQL over HTTP.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace

import orjson

from router.config import PersistedConfig, Safelist
from router.errors import ClientError
from router.pipeline import GraphQLRequest
from router.snapshot import Cache

log = logging.getLogger("stadion.router.persisted")


class ManifestInvalid(ValueError):
    """A manifest that names no documents; the text says what is wrong with it."""


def read_manifest(text: bytes) -> dict[str, str]:
    """Document id → text, from an operation manifest (`operations: [{id, body}]`) or a map of id to text.

    Errors: ManifestInvalid.
    """
    try:
        decoded = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ManifestInvalid(f"the manifest is not JSON: {error}") from None
    if isinstance(decoded, dict) and isinstance(decoded.get("operations"), list):
        entries = [
            (one.get("id"), one.get("body")) if isinstance(one, dict) else (None, None)
            for one in decoded["operations"]
        ]
    else:
        entries = list(decoded.items()) if isinstance(decoded, dict) else [(None, None)]
    documents = {id_: body for id_, body in entries if isinstance(id_, str) and isinstance(body, str)}
    if len(documents) != len(entries):
        raise ManifestInvalid("every document of the manifest needs its own id and a text")
    return documents


class PersistedDocuments:
    """The documents that clients may name. `registered` are the manifest's, by id."""

    def __init__(self, config: PersistedConfig, registered: Mapping[str, str], *, entries_max: int) -> None:
        self._config = config
        self._registered = registered
        self._texts = frozenset(registered.values())
        self._remembered: Cache[str, str] = Cache("persisted", entries_max=entries_max)

    def resolved(self, request: GraphQLRequest, safelist: Safelist | None = None) -> GraphQLRequest:
        """The request with its text, as far as the safelist lets it through (the general one by default).

        Errors: PERSISTED_QUERY_NOT_FOUND (send the text once), _NOT_SUPPORTED, _HASH_MISMATCH,
        _ID_REQUIRED, _NOT_IN_LIST, QUERY_NOT_IN_SAFELIST, CANNOT_SEND_PQ_ID_AND_BODY, BAD_REQUEST.
        """
        id_ = request.document_id or _sha256_of(request)
        registered = self._registered.get(id_) if id_ else None
        if registered is not None:
            if request.text not in {"", registered}:
                raise ClientError(
                    "the text is not the one registered under this id; send the id alone",
                    code="CANNOT_SEND_PQ_ID_AND_BODY",
                )
            return replace(request, text=registered)
        self._check_safelist(request, id_, safelist or self._config.safelist)
        if id_ is None:
            return request
        if request.document_id is not None:
            raise _not_in_list()
        return self._automatic(request, id_)

    def _check_safelist(self, request: GraphQLRequest, id_: str | None, safelist: Safelist) -> None:
        match safelist:
            case Safelist.OFF:
                return
            case Safelist.IDS_ONLY if id_ is None:
                raise ClientError("send the id of a registered document", code="PERSISTED_QUERY_ID_REQUIRED")
            case Safelist.IDS_ONLY:
                raise _not_in_list()
            case Safelist.KNOWN_TEXTS if request.text not in self._texts:
                raise ClientError("the document is not registered", code="QUERY_NOT_IN_SAFELIST")
            case Safelist.LOG_UNKNOWN if request.text not in self._texts:
                # the hash alone: a text may hold literals that are nobody's business
                log.warning("unregistered document %s (%s)", _hash(request.text), request.operation_name)

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
