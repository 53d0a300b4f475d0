"""`connection_init`: what a WebSocket client says of itself where a browser can send no headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authz.identity.proof_of_possession import HEADER_NAME
from router.edge.negotiation import SPEC_PARAMETERS, incremental_format
from router.execution import IncrementalFormat


def with_proof(headers: Mapping[str, str], payload: Mapping[str, Any]) -> Mapping[str, str]:
    """The headers with the proof of a token's key that came in the message: a browser sends none of its own
    with a WebSocket."""
    proofs = [value for name, value in payload.items() if name.lower() == HEADER_NAME]
    return {**headers, HEADER_NAME: proofs[0]} if proofs and isinstance(proofs[0], str) else headers


def authorization_of(payload: Mapping[str, Any]) -> str | None:
    """`{"authorization": "Bearer …"}`, its name in any case, as clients write headers."""
    for name, value in payload.items():
        if name.lower() == "authorization" and isinstance(value, str):
            return value
    return None


def texts_of(payload: Mapping[str, Any]) -> dict[str, str]:
    """Its texts by lower-case name, as headers are."""
    return {name.lower(): value for name, value in payload.items() if isinstance(value, str)}


def format_of(payload: Mapping[str, Any]) -> IncrementalFormat:
    """`{"deferSpec": "20220824"}` asks for the older form of parts; the current one is for all others."""
    named = (
        incremental_format(value) for name in SPEC_PARAMETERS if isinstance(value := payload.get(name), str)
    )
    return next((one for one in named if one is not None), IncrementalFormat.PENDING)
